"""torch.compile for networks that meet images of any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import fx, nn

from segtrain.errors import is_gpu_out_of_memory


def compile_network(model: nn.Module, say: Callable[[str], None]) -> None:
    """Compiles a model in place, at its first image and at the first of each new kind of size.

    Every version of the compiler has sizes and layers at which it fails by itself (torch 2.11's with SegNet
    at a second size). Such a part is computed uncompiled, which is said once: no training ends for it.

    Args:
        model: has `forward` compiled; its weights and their names stay as they are.
        say: shows a line.

    Example:
        >>> compile_network(build_model("unet", num_classes=2), print)
    """
    failed = False

    def backend(graph: fx.GraphModule, inputs: Sequence[Any]) -> Callable:
        from torch._dynamo import exc

        nonlocal failed
        try:
            return inductor()(graph, inputs)
        except (exc.RestartAnalysis, exc.Unsupported):
            raise  # how the compiler looks at the code again
        except Exception as error:  # whatever a compiler can fail at
            if is_gpu_out_of_memory(error):
                raise
            if not failed:
                what = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:200]
                say(f"compile=true: torch's compiler fails ({what}). That part runs uncompiled")
            failed = True
            return graph.forward

    model.compile(backend=backend)


def inductor() -> Callable:
    """torch's own compiler."""
    from torch._dynamo import lookup_backend

    return lookup_backend("inductor")
