"""One author's mistake stops nobody else, and is found even when the refusal does not name it."""

from __future__ import annotations

from collections.abc import Mapping

from eventmesh.kube.objects import Key
from eventmesh.xds.control.objects import Ingress
from eventmesh.xds.control.quarantine import MAX_PUBLICATIONS, Quarantine, names_ingress

Set = Mapping[Key, Ingress]


def form(name: str, content: str = "1") -> Ingress:
    return Ingress(Key("ns", name), generation=1, created="", hash=content, rules=())


class Mesh:
    """A data plane that refuses every table with a bad ingress, and says so in `words`."""

    def __init__(self, words: str = "no") -> None:
        self.quarantine = Quarantine(names_ingress)
        self.wanted: dict[Key, Ingress] = {}
        self.words = words
        self.generation = 0
        self.serving: Set = {}

    def apply(self, *ingresses: Ingress) -> None:
        for ingress in ingresses:
            self.wanted[ingress.key] = ingress
            self.quarantine.observed(ingress.key, ingress)

    def run(self) -> None:
        """Publish and answer until nothing changes any more."""
        again = True
        while again:
            self.generation += 1
            contained = self.quarantine.effective(self.wanted)
            self.quarantine.published(self.generation, contained)
            if any(ingress.hash == "bad" for ingress in contained.values()):
                again = bool(self.quarantine.refused(self.generation, self.words))
            else:
                self.serving = contained
                again = self.quarantine.acknowledged(lambda generation: generation <= self.generation)

    def names(self) -> set[str]:
        return {key.name for key in self.serving}


def test_a_single_new_ingress_is_convicted_at_once() -> None:
    mesh = Mesh()
    mesh.apply(form("old"))
    mesh.run()
    mesh.apply(form("new", "bad"))
    mesh.run()
    assert mesh.quarantine.message(Key("ns", "new")) == "no"
    assert mesh.names() == {"old"}


def test_the_last_acknowledged_form_goes_on_serving() -> None:
    mesh = Mesh()
    mesh.apply(form("a"), form("b"))
    mesh.run()
    mesh.apply(form("a", "bad"))
    mesh.run()
    assert mesh.serving[Key("ns", "a")] == form("a")


def test_among_many_only_the_guilty_stay_out() -> None:
    mesh = Mesh()
    mesh.apply(*(form(name, "bad" if name in "cf" else "1") for name in "abcdefg"))
    mesh.run()
    assert mesh.names() == set("abdeg")
    assert set(mesh.quarantine.convicted) == {Key("ns", "c"), Key("ns", "f")}


def test_an_ingress_the_refusal_names_is_convicted_without_a_trial() -> None:
    mesh = Mesh("virtual host ns/b/0: header not allowed")
    mesh.apply(form("a"), form("b", "bad"), form("c"))
    mesh.run()
    assert set(mesh.quarantine.convicted) == {Key("ns", "b")}
    assert mesh.generation == 2


def test_a_repaired_object_is_published_again() -> None:
    mesh = Mesh()
    mesh.apply(form("a", "bad"))
    mesh.run()
    mesh.apply(form("a", "repaired"))
    mesh.run()
    assert mesh.serving[Key("ns", "a")] == form("a", "repaired")
    assert mesh.quarantine.message(Key("ns", "a")) is None


def test_a_second_refusal_of_the_same_publication_blames_nobody_else() -> None:
    mesh = Mesh()
    mesh.apply(form("a", "bad"))
    mesh.quarantine.published(1, mesh.wanted)
    assert mesh.quarantine.refused(1, "no") == [Key("ns", "a")]
    mesh.apply(form("innocent"))
    mesh.quarantine.published(2, mesh.quarantine.effective(mesh.wanted))
    assert mesh.quarantine.refused(1, "no again") == []
    assert not mesh.quarantine.holds(Key("ns", "innocent"))


def test_a_deleted_suspect_is_forgotten() -> None:
    mesh = Mesh()
    mesh.apply(form("a", "bad"))
    mesh.run()
    del mesh.wanted[Key("ns", "a")]
    mesh.quarantine.observed(Key("ns", "a"), None)
    mesh.run()
    assert not mesh.quarantine.convicted


def test_what_is_remembered_of_publications_is_bounded() -> None:
    quarantine = Quarantine(names_ingress)
    for generation in range(MAX_PUBLICATIONS + 10):
        quarantine.published(generation, {})
    assert len(quarantine._published) == MAX_PUBLICATIONS
