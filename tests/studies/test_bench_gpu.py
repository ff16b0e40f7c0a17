"""The measurement of training and completion on a GPU, with a processor in its place."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pyro_mnar.studies.bench import compiled, gpu
from tests.support.estimators import small_imputer, table


def test_each_side_trains_and_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []

    def fitted(rows: Any, device: str) -> Any:
        given.append(len(rows))
        return small_imputer(device=device).fit(rows)

    monkeypatch.setattr(gpu, "fitted", fitted)
    threads = torch.get_num_threads()
    frame = gpu.measure({32: (3, 2), 64: (2, 1)}, {"gpu": 300, "one": 250, "all": 220}, "cpu")
    assert given == [128] and torch.get_num_threads() == threads
    measures = ["training, batch 32", "training, batch 64", "completion, 20 draws"]
    assert list(frame["measure"]) == 3 * measures and (frame["value"] > 0).all()
    assert frame["device"].iloc[3] == "1 thread of the processor beside it"


def test_products_are_rounded_in_their_context_alone() -> None:
    layer = torch.nn.Linear(50, 1)
    x = torch.randn(20, 50)
    whole = layer(x)
    with gpu.products_in("bfloat16"):
        rounded = layer(x)
    assert rounded.dtype == torch.float32 and 1e-6 < (rounded - whole).abs().max() < 0.1
    assert torch.equal(layer(x), whole)
    with gpu.products_in("tf32"):
        assert torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_the_bound_of_a_model_is_told_in_lower_precision() -> None:
    X = table(50)
    imputer = small_imputer(mechanism="self-masking").fit(X)
    whole = gpu.bound_of(imputer, X, "float32")
    assert gpu.bound_of(imputer, X, "float32") == whole
    assert 0 < abs(gpu.bound_of(imputer, X, "bfloat16") - whole) < 0.1


def test_the_traced_step_is_timed_beside_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler takes a minute; what it is given is run as it is."""
    graphs: list[Any] = []

    def take(graph: Any, fullgraph: bool) -> Any:
        graphs.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", take)
    X = table(40)
    imputer = small_imputer(mechanism="auto").fit(X)
    times = compiled.step_times(imputer.joint_, imputer.batch(X).to("cpu", torch.float32))
    assert list(times) == ["as it is", "compiled", "to compile"] and min(times.values()) > 0
    weights = [weight.detach() for weight in imputer.joint_.parameters()]
    batch = imputer.batch(X).to("cpu", torch.float32)
    loss, *gradients = graphs[0](weights, batch.x, batch.observed)
    assert loss.isfinite() and {g.shape for g in gradients} <= {w.shape for w in weights}
