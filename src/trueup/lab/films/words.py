# SPDX-License-Identifier: Apache-2.0
"""The words of the films world: what films of a genre are about, before the new wave and in it."""

from __future__ import annotations

GENRES = ("comedy", "documentary", "drama", "horror", "romance", "thriller")

CLASSIC = {
    "comedy": """hilarious prank clumsy roommate wedding disaster stand-up goofy neighbour slapstick
        banter mix-up bachelor misfits awkward reunion chaos parody office holiday buddies silly""",
    "documentary": """archive interviews footage scientists history investigates wildlife explores
        decades narrated journalists climate portrait witnesses expedition series truth behind-the-scenes
        historians oceans era chronicles""",
    "drama": """family grief estranged father struggles inheritance village widow dignity illness
        generations forgiveness factory tender siblings debt courtroom immigrant teacher loss choices
        reconcile""",
    "horror": """haunted demon blood cabin curse screams possessed asylum corpse ritual graveyard
        nightmare creature cellar ghost evil slasher doll fog cannibal crypt terror""",
    "romance": """love kiss falls heart summer letters soulmate florist proposal passion sweetheart
        paris dance longing bride reunited lovers pianist valentine affection vows charming""",
    "thriller": """detective murder conspiracy hostage killer agent ransom suspect chase undercover
        assassin betrayal evidence kidnapped heist bomb witness spy blackmail sniper manhunt motive""",
}

WAVE = {
    "comedy": "livestream influencer airfryer podcast-hosts group-chat side-hustle gym-bros meme karaoke-bot",
    "documentary": "drone-shot dataset whistle-blowers algorithm deep-sea-rover glaciers lithium satellites crowdsourced",
    "drama": "care-home gig-worker remote-town evictions night-shift co-parenting burnout foster-son last-harvest",
    "horror": "deepfake smart-home voice-clone screen-lights carnivore-app missing-streamer static doorbell-cam glitch",
    "romance": "swipes long-distance matchmaker-app airport-gate playlist voice-notes plus-one rooftop ghosted-twice",
    "thriller": "ransomware crypto-wallet sim-swap dead-drop biometric burner-phone zero-day shell-company black-site",
}

PLAIN = """a the of and in his her their one night when after before who must young old small town city
    life world story new friends year home finds wants begins secret past day returns strange long road
    group last time woman man two years ago nobody everything between"""

SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "we", "xi", "yo", "zu"]
