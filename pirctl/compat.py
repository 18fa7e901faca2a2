"""Imports of torchvision, basicsr and facexlib that today's releases break, each with its reason.

Nothing is imported or changed until a function here is called: importing basicsr takes seconds.
Every function may be called any number of times. Only imports are mended, never behaviour.
"""

from __future__ import annotations

import importlib
import logging
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

LOGGER = logging.getLogger(__name__)

_NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_libraries: list[Any] = []  # An operator lives as long as its library object.


def import_torchvision() -> types.ModuleType:
    """Import torchvision, also beside a torch that its compiled part was not built for.

    A torchvision wheel for CUDA next to a CPU build of torch cannot load its extension, and then
    fails at import where it registers shapes for the operators `nms` and `qnms`. Declaring the
    two (nothing here calls them) lets the pure Python part load.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        LOGGER.info("torchvision's compiled part does not load; declaring its operators")
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    open_library: Any = torch.library.Library  # It has no type hints.
    library = open_library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(operator + _NMS)
    _libraries.append(library)
    return importlib.import_module("torchvision")


def basicsr_gan_loss() -> type[torch.nn.Module]:
    """The class `GANLoss` of basicsr: (gan_type, real_label_val=1, fake_label_val=0, loss_weight).

    Its call is (prediction, target_is_real, is_disc=False); `loss_weight` counts only where
    `is_disc` is False.
    """
    module = _import_basicsr("basicsr.losses.gan_loss")
    loss: type[torch.nn.Module] = module.GANLoss
    return loss


def basicsr_metrics() -> tuple[Callable[..., float], Callable[..., float]]:
    """The functions `calculate_psnr` and `calculate_ssim` of basicsr.

    Both take (image, other, crop_border, test_y_channel=False), uint8 (H, W, 3) in [0, 255].
    """
    module = _import_basicsr("basicsr.metrics.psnr_ssim")
    return module.calculate_psnr, module.calculate_ssim


def facexlib_bisenet() -> type[torch.nn.Module]:
    """The class `BiSeNet` of facexlib: (num_class); its forward returns three logit maps.

    facexlib's own loader is passed by: it downloads into site-packages and checks no hash.
    """
    import_torchvision()
    with _quiet():
        module = importlib.import_module("facexlib.parsing.bisenet")
    network: type[torch.nn.Module] = module.BiSeNet
    return network


def facexlib_retinaface() -> torch.nn.Module:
    """The network of facexlib's RetinaFace on ResNet-50, with no weights yet (on "meta").

    Its call takes (B, 3, H, W) BGR less its mean and returns boxes (B, A, 4), scores (B, A, 2)
    and five points (B, A, 10) per anchor. Its own pre- and postprocessing is not used.
    """
    import_torchvision()
    with _quiet():
        module = importlib.import_module("facexlib.detection.retinaface")
        with torch.device("meta"):
            network: torch.nn.Module = module.RetinaFace("resnet50", device="meta")
    return network


def facexlib_awing() -> torch.nn.Module:
    """The network of facexlib's AWING alignment, 98 WFLW points, with no weights yet (on "meta").

    Its call takes (B, 3, 256, 256) RGB in [0, 1] and returns the heat maps (B, 99, 64, 64) of its
    four stages, the last point being the face's outline. `get_landmarks` is not used: it needs
    `np.float`, which is gone since numpy 1.24, and takes one face at a time.
    """
    import_torchvision()
    with _quiet():
        module = importlib.import_module("facexlib.alignment.awing_arch")
        with torch.device("meta"):
            network: torch.nn.Module = module.FAN(num_modules=4, num_landmarks=98)
    return network


def _import_basicsr(name: str) -> Any:
    """Import a module of basicsr 1.4.2.

    Its package imports `torchvision.transforms.functional_tensor`, which is gone since
    torchvision 0.17, for the one function `rgb_to_grayscale`; a module with just that stands in.
    """
    import_torchvision()
    missing = "torchvision.transforms.functional_tensor"
    if missing not in sys.modules:
        functional = importlib.import_module("torchvision.transforms.functional")
        stand_in = types.ModuleType(missing)
        stand_in.rgb_to_grayscale = functional.rgb_to_grayscale  # type: ignore[attr-defined]
        sys.modules[missing] = stand_in
    with _quiet():
        return importlib.import_module(name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide deprecation warnings that third-party modules raise while they are imported."""
    with warnings.catch_warnings():
        # basicsr: scipy.ndimage.filters and friends; facexlib: numba and torch idioms of 2021.
        for category in (DeprecationWarning, FutureWarning, SyntaxWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        yield
