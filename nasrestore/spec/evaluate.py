"""A recipe's ``evaluate``: how results are measured."""

from __future__ import annotations

from nasrestore.spec.schema import Located, entry, spec_class

ALEXNET_FILE = "alexnet-owt-7be5be79.pth"  # as torchvision publishes it
WITHOUT_LPIPS = "or leave LPIPS out (evaluate.lpips=null, or --no-lpips)"
LPIPS_WAYS_OUT = {
    key: f"give a path to {file} (in a recipe evaluate.lpips.{key}=FILE, or --lpips-{key} FILE), "
    + WITHOUT_LPIPS
    for key, file in (
        ("heads", "LPIPS's own weights, which its authors publish as weights/v0.1/alex.pth"),
        ("alexnet", f"torchvision's {ALEXNET_FILE}"),
    )
}


@spec_class
class LpipsSpec(Located):
    """Weights of LPIPS v0.1 with AlexNet, which is measured where they are named."""

    heads: str = entry(doc="file of LPIPS's own weights, its authors' weights/v0.1/alex.pth")
    alexnet: str | None = entry(
        None,
        doc="file of AlexNet's state dict; default: torchvision's, from its cache or downloaded",
    )


@spec_class
class EvaluateSpec(Located):
    """How results are measured."""

    protocols: list[str] = entry(
        default_factory=lambda: ["prenet"], doc="metric protocols; the first is quoted"
    )
    limit: int | None = entry(None, least=1, doc="measure the first so many images")
    lpips: LpipsSpec | None = entry(None, doc="LPIPS beside them; of clips tLPIPS, too")
