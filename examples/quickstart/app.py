# SPDX-License-Identifier: Apache-2.0
"""An application in ten lines: who answers, what it said, how it went."""

from trueup import connect

FILMS = [("ada", "Alien", "Horror"), ("bob", "Amélie", "Comedy"), ("eve", "Heat", "Crime")]

with connect("genres") as client:
    for user, title, truth in FILMS:
        choice = client.choose(user)
        model = client.load(choice) if choice.candidate else None  # no champion yet: a fixed answer
        answer = model.predict([title])[0].value if model else "Drama"
        client.log(choice, {"title": title}, answer)
        client.feedback(choice.id, "genre", truth)
        print(f"{user}: {title} is {answer}, says the {choice.arm}")
