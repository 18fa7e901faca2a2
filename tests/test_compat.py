from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from pirctl.compat import basicsr_gan_loss, basicsr_metrics, facexlib_bisenet


def test_psnr_of_basicsr_is_the_formula_and_ssim_of_equal_pictures_is_one() -> None:
    psnr, ssim = basicsr_metrics()
    image = np.random.default_rng(0).integers(0, 200, (32, 32, 3)).astype(np.uint8)
    assert psnr(image, image + 10, crop_border=0) == pytest.approx(20 * np.log10(255 / 10))
    assert ssim(image, image, crop_border=0) == pytest.approx(1)


def test_gan_loss_of_basicsr_is_cross_entropy_with_logits() -> None:
    loss = basicsr_gan_loss()("vanilla", loss_weight=2.0)
    logits = torch.tensor([0.3, -1.0])
    expected = torch.nn.functional.softplus(-logits).mean()
    torch.testing.assert_close(loss(logits, True, is_disc=True), expected)
    torch.testing.assert_close(loss(logits, True), 2 * expected)


def test_bisenet_of_facexlib_gives_nineteen_classes() -> None:
    network = facexlib_bisenet()(num_class=19).eval()
    with torch.inference_mode():
        out = network(torch.zeros(1, 3, 64, 64))
    assert out[0].shape == (1, 19, 64, 64)


def test_importing_compat_imports_none_of_them() -> None:
    code = (
        "import sys, pirctl.compat; "
        "print([m for m in ('torchvision', 'basicsr', 'facexlib') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
