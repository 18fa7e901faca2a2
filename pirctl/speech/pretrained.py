"""Pre-trained speech models of the Hugging Face hub or a local folder, by way of transformers."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pirctl.compat import import_torchvision
from pirctl.errors import WeightsCorrupt, WeightsError, WeightsMissing
from pirctl.weights import hub
from pirctl.weights.catalog import hub_command, hub_revision
from pirctl.weights.pull import mirror_address

Read = TypeVar("Read")

_FILES = "config.json, preprocessor_config.json and model.safetensors"


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """A model that a setting names.

    Attributes:
        setting: the setting, for messages.
        name: hub id, or a local folder.
        revision: git revision; empty: as models/weights.yaml pins it, else `main`.
        family: what kind of model it must be, for messages.
    """

    setting: str
    name: str
    revision: str
    family: str

    def load(self, read: Callable[[Path], tuple[Read, list[str]]]) -> Read:
        """Read the model.

        Args:
            read: folder -> what was read, and the names of weights that were missing.

        Raises:
            WeightsMissing: not in the folder, not in the cache, and the hub cannot be reached.
            WeightsCorrupt: a file that transformers cannot read.
        """
        import_torchvision()
        from safetensors import SafetensorError

        try:
            folder = self._folder()
            with _quiet_transformers():
                found, missing = read(folder)
        except (WeightsMissing, WeightsCorrupt):
            raise
        except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise self._damaged(str(error).strip().split("\n")[0]) from error
        except WeightsError as error:  # The hub's own sentence, with what it failed of.
            raise WeightsMissing(error.message, hint=self._ways_out()) from error
        except (OSError, ValueError) as error:
            raise WeightsMissing(
                f"{self.setting} {self.name} is no folder with a {self.family} model: "
                f"{str(error).strip().splitlines()[0]}",
                hint=self._ways_out(),
            ) from error
        if missing:
            raise self._damaged(f"{len(missing)} of them are missing, such as {missing[0]}")
        return found

    def _folder(self) -> Path:
        """The folder of the model: local, or in the hub's cache, after fetching it if need be."""
        folder = Path(self.name).expanduser()
        if folder.is_dir():
            return folder.resolve()
        if folder.is_absolute() or self.name.startswith((".", "~")):
            raise WeightsMissing(
                f"{self.setting} {self.name}: there is no such folder",
                hint=f"name a folder with {_FILES}",
            )
        revision = self.revision or hub_revision(self.name)
        return hub.fetch(self.name, revision, endpoint=mirror_address())

    def _ways_out(self) -> str:
        if Path(self.name).expanduser().is_dir():
            return f"name a folder with {_FILES}"
        return (
            f"{hub_command(self.name)} where there is a network, name a local folder with "
            f"--set {self.setting}=FOLDER, or use --set speech.encoder=mel"
        )

    def _damaged(self, problem: str) -> WeightsCorrupt:
        return WeightsCorrupt(
            f"{self.setting} {self.name}: its weights cannot be read: {problem}",
            hint="fetch them again, whole",
        )


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers' progress bars and notes about unused heads off the terminal."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
