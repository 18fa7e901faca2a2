from __future__ import annotations

from pathlib import Path

from pirctl.demo.synthetic import machine
from pirctl.demo.synthetic.machine import compiled, sources_digest


def test_the_digest_follows_every_module_with_compiled_functions(tmp_path: Path) -> None:
    (tmp_path / "light.py").write_text("@compiled\ndef light(): ...\n")
    (tmp_path / "words.py").write_text("print('no machine code')\n")
    first = sources_digest.__wrapped__(tmp_path)
    (tmp_path / "words.py").write_text("print('other words')\n")
    assert sources_digest.__wrapped__(tmp_path) == first
    (tmp_path / "light.py").write_text("@compiled\ndef light(): return 1\n")
    assert sources_digest.__wrapped__(tmp_path) != first


def test_a_compiled_function_is_filed_under_the_digest_of_all() -> None:
    def double(value: float) -> float:
        return 2.0 * value

    fast = compiled(double)
    assert fast(3.0) == 6.0
    assert double.__qualname__.endswith(sources_digest(Path(machine.__file__).parent))
