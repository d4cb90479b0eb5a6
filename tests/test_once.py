from __future__ import annotations

from exporter.once import Once


def test_a_thing_is_news_once_and_again_when_it_changes() -> None:
    once = Once()
    assert [once.is_news("disk", text) for text in ("full", "full", "gone", "full")] == [
        True,
        False,
        True,
        True,
    ]
    assert once.is_news("net")
    assert not once.is_news("net")


def test_what_is_over_is_news_when_it_comes_back() -> None:
    once = Once()
    assert not once.settle("disk")
    once.is_news("disk", "full")
    once.is_news("net")
    assert once.settle("disk")
    assert once.is_news("disk", "full")
    assert not once.is_news("net")
    assert once.settle()
    assert not once.settle()
    assert once.is_news("net")
