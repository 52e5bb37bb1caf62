import inspect

import pytest

import armonik_sdk.client as public
from armonik_sdk.client import errors
from armonik_sdk.client.transport.port_forward import Service


def test_everything_promised_is_there_and_nothing_else_is_public() -> None:
    assert sorted(public.__all__) == public.__all__
    modules = {name for name, value in vars(public).items() if inspect.ismodule(value)}
    own = {name for name in dir(public) if not name.startswith("_")} - modules
    assert own - {"TYPE_CHECKING", "Any"} == set(public.__all__)
    assert {name for name in public.__all__ if getattr(public, name).__name__ != name} == set()


def test_a_name_that_is_not_public_is_an_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Clinet'"):
        _ = public.Clinet


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    classes = {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.ClientError)
    }
    drawn: list[tuple[str, str]] = []
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines()[2:]:
        words = line.replace("│", " ").replace("├──", "   ").replace("└──", "   ")
        depth, name = (len(words) - len(words.lstrip())) // 4, words.split()[0]
        path[depth:] = [name]
        drawn.append((name, path[depth - 1] if depth else "Exception"))
    assert drawn
    assert dict(drawn) == {name: value.__bases__[0].__name__ for name, value in classes.items()}
    assert all(name in public.__all__ for name in classes)


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("armonik-nats.armonik-system.svc", Service("armonik-system", "armonik-nats", 4222)),
        ("armonik-nats.armonik-system.svc.cluster.local", Service("armonik-system", "armonik-nats", 4222)),
        ("minio.example.org", None),
        ("10.0.0.7", None),
    ],
)
def test_only_services_of_the_cluster_are_forwarded(host: str, service: Service | None) -> None:
    assert Service.from_address(host, 4222) == service
