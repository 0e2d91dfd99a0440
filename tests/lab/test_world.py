# SPDX-License-Identifier: Apache-2.0
"""The films world: seeded, and as its months say."""

from collections import Counter
from datetime import date

from trueup.lab.films import Audience, World
from trueup.lab.films.audience import FLOOD_DAYS, FLOODER
from trueup.lab.films.words import CLASSIC, GENRES, WAVE

NEW = {word for words in WAVE.values() for word in words.split()}


def share_of_new_words(world: World, day: date) -> float:
    films = world.films(400, day, "asked")
    return sum(bool(NEW & set(film.input["description"].split())) for film in films) / len(films)


def test_films_are_the_same_for_the_same_arguments_and_others_for_another_day_or_seed():
    world, day = World(seed=3), date(2025, 5, 2)
    assert world.films(50, day, "asked") == world.films(50, day, "asked")
    assert world.films(50, day, "asked") != world.films(50, date(2025, 5, 3), "asked")
    assert world.films(50, day, "asked") != World(seed=4).films(50, day, "asked")
    assert world.films(50, day, "asked") != world.films(50, day, "golden")


def test_the_wave_begins_in_its_month_and_a_world_without_one_has_no_new_words():
    world, calm = World(), World(wave=None)
    assert share_of_new_words(world, date(2025, 1, 31)) == 0.0
    assert 0.4 < share_of_new_words(world, date(2025, 2, 1)) < 0.6
    assert 0.4 < share_of_new_words(world, date(2025, 12, 1)) < 0.6
    assert share_of_new_words(calm, date(2025, 12, 1)) == 0.0


def test_words_belong_to_one_genre_each():
    words = [word for table in (CLASSIC, WAVE) for text in table.values() for word in text.split()]
    assert max(Counter(words).values()) == 1
    assert set(CLASSIC) == set(WAVE) == set(GENRES)


def test_a_month_has_its_units_a_few_of_them_twice_and_labels_for_a_quarter():
    audience = Audience(World(units=1_000))
    asked = [request for day in range(1, 32) for request in audience.requests(date(2025, 5, day))]
    assert len(asked) == 1_100
    assert len({request.unit for request in asked}) == 1_000
    labelled = [request for request in asked if request.after is not None]
    assert 0.22 < len(labelled) / len(asked) < 0.32
    assert {request.after for request in labelled} == {1, 2, 3, 4}
    assert all(request.label == request.film.genre for request in labelled)


def test_the_flood_is_a_third_of_a_months_rows_from_one_account_and_ends():
    audience = Audience(World())
    labelled = [
        request for day in range(1, 31) for request in audience.requests(date(2025, 4, day))
        if request.after is not None
    ]
    flood = [request for request in labelled if request.unit == FLOODER and request.after == 0]
    assert 0.31 < len(flood) / len(labelled) < 0.36
    assert {request.label for request in flood} == {"romance"}
    later = audience.requests(date(2025, 4, FLOOD_DAYS + 1))
    assert all(request.after != 0 for request in later)
    calm = Audience(World(flood=None)).requests(date(2025, 4, 2))
    assert all(request.after != 0 for request in calm)


def test_golden_films_are_many_of_each_slice_and_are_not_asked_about():
    audience = Audience(World())
    items = audience.golden()
    assert len(items) == 2_400
    for name, least in (("genre", 300), ("cohort", 1_000)):
        assert min(Counter(item[name] for item in items).values()) > least
    golden = {item["input"]["description"] for item in items}
    asked = {request.film.input["description"] for request in audience.requests(date(2025, 3, 3))}
    assert not golden & asked
