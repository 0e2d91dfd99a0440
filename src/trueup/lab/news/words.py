# SPDX-License-Identifier: Apache-2.0
"""The words of the news world: names of companies and people, cities, goods, and how things are asked."""

from __future__ import annotations

ATTRIBUTES = ("ceo", "city", "product")

PHRASINGS = {
    "ceo": (
        "Who is the chief executive of {}?", "Who leads {}?", "Name the head of {}.",
        "{} is led by whom?", "Which person runs {}?",
    ),
    "city": (
        "In which city is {} based?", "Where are the headquarters of {}?", "Name the home city of {}.",
        "{} has its head office where?", "From which city does {} work?",
    ),
    "product": (
        "What does {} make?", "Which product comes from {}?", "Name the main product of {}.",
        "{} is known for making what?", "What can one buy from {}?",
    ),
}
"""Five ways to ask for an attribute; of each fact one of them is held out as golden."""

SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "qui", "ro", "sa", "te", "ul", "va", "we", "xi", "yo", "zu", "bri", "cla", "dre", "fle", "gra", "pli", "sto", "tra"]

FIRST = ["Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Irene", "Jonas", "Karin", "Leon", "Maria", "Nils", "Olga", "Paul", "Rosa", "Simon", "Tessa", "Viktor"]
LAST = ["Adler", "Berg", "Conti", "Duval", "Ekman", "Falk", "Gruber", "Holm", "Iversen", "Jansen", "Keller", "Lindt", "Moreau", "Nagy", "Olsen", "Petit", "Quist", "Rossi", "Sato", "Toth"]

CITIES = ["Antwerp", "Basel", "Cork", "Dresden", "Espoo", "Florence", "Graz", "Haarlem", "Innsbruck", "Jena", "Kiel", "Lyon", "Malmo", "Nantes", "Odense", "Porto", "Rouen", "Siena", "Turku", "Utrecht"]
PRODUCTS = ["bicycles", "cameras", "drills", "engines", "filters", "glasses", "heaters", "inks", "jackets", "kettles", "lamps", "mirrors", "needles", "ovens", "pumps", "radios", "sensors", "tractors", "valves", "watches"]
