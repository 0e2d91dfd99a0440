# SPDX-License-Identifier: Apache-2.0
"""The catalogue: the real file where it is, else a made-up one with the same columns."""

import os
import random
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

NAME = "netflix_titles.parquet"
ROOT = Path(__file__).resolve().parents[2]

_GENRES = {
    "Dramas": "family secret loss love town mother truth past", "Comedies": "wedding friends prank party boss chaos funny date",
    "Documentaries": "footage interviews history explores reveals inside story examines",
    "Action & Adventure": "agent chase revenge heist army mission fight city",
    "Horror Movies": "haunted curse blood night creature terror cabin demon",
    "Children & Family Movies": "puppy magic adventure school holiday animals princess toy",
    "TV Dramas": "detective empire rivals palace lawyer hospital dynasty crime",
    "TV Comedies": "roommates office sitcom awkward neighbours band single stand-up",
    "Kids' TV": "robot songs dinosaur rescue cartoon learn colours puppets",
    "International Movies": "village border journey soldier bride river exile harvest",
}  # fmt: skip
_COMMON = ["a", "the", "of", "after", "young", "when", "his", "her", "their", "with", "new", "must", "finds", "life", "two", "before", "world", "return"]


def find(folder: Path) -> tuple[Path, bool]:
    """The catalogue's file, and whether it is the real one; a made-up one is written to `folder`."""
    real = Path(os.environ.get("TRUEUP_DATA", ROOT.parent / "shared" / "data")) / NAME
    if real.is_file():
        return real, True
    return generate(folder / NAME), False


def generate(path: Path, *, months: int = 60, a_month: int = 115, seed: int = 0) -> Path:
    """Titles from 2016-10 on whose genres' words change slowly, and whose mix of genres drifts."""
    rng = random.Random(seed)
    rows = []
    for month in range(months):
        first = datetime(2016 + (9 + month) // 12, (9 + month) % 12 + 1, 1)
        for _ in range(a_month):
            rows.append(_title(rng, f"s{len(rows) + 1}", first + timedelta(days=rng.randrange(28)), month))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def _title(rng: random.Random, ident: str, added: datetime, month: int) -> dict[str, object]:
    names = list(_GENRES)
    weights = [1.0 + (0.03 * month if "International" in name or "TV" in name else 0.0) for name in names]
    genres = sorted(set(rng.choices(names, weights, k=rng.choice((1, 2, 3)))))
    words = []
    for _ in range(24):
        if rng.random() < 0.5:
            words.append(rng.choice(_COMMON))
        else:
            own = _GENRES[rng.choice(genres)].split()
            word = rng.choice(own)
            words.append(f"{word}{month // 12}" if rng.random() < 0.4 else word)  # new words each year
    return {
        "show_id": ident, "type": "TV Show" if any("TV" in one for one in genres) else "Movie",
        "title": " ".join(rng.sample(words, 3)).title(), "country": None, "date_added": added,
        "release_year": added.year, "rating": "TV-MA", "duration": "90 min",
        "listed_in": ", ".join(genres), "description": " ".join(words),
    }
