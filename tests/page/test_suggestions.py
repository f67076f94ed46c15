"""Questions to start with: what is made of a heading, and which are not worth asking."""

from __future__ import annotations

from pathlib import Path

import pytest

from embeddings import Encoder
from qa import Library
from qa.page.suggestions import _question, suggestions


@pytest.mark.parametrize(
    ("heading", "language", "question"),
    [
        ("§ 1 Name and seat", "en", "What is said about “Name and seat”?"),
        ("§3a. Fees and dues", "en", "What is said about “Fees and dues”?"),
        ("Chapter 1: The colony in spring", "en", "What is said about “The colony in spring”?"),
        ("Kapitel 2. Die Beute wählen", "de", "Was steht über „Die Beute wählen“?"),
        ("Part II – Summer", "en", "What is said about “Summer”?"),
        ("IV. Winter feeding", "en", "What is said about “Winter feeding”?"),
        ("2 Report of the treasurer", "en", "What is said about “Report of the treasurer”?"),
        ("3.1 Annual leave", "en", "What is said about “Annual leave”?"),
        ("2025 in figures", "en", "What is said about “2025 in figures”?"),
        ("24 months of warranty", "en", "What is said about “24 months of warranty”?"),
        ("Part of the deal", "en", "What is said about “Part of the deal”?"),
        ("Section Civil rights", "en", "What is said about “Section Civil rights”?"),
        ("Who may borrow", "en", "Who may borrow?"),
        ("How to wash the dog", "en", "How to wash the dog?"),
        ("Was zu tun ist", "de", "Was zu tun ist?"),
        ("Cómo llegar", "es", "¿Cómo llegar?"),
        ("What does it cost?", "en", "What does it cost?"),
        ("Chapter 7", "en", ""),
        ("§ 12", "de", ""),
        ("هل تعرف النحل", "ar", "هل تعرف النحل"),
    ],
)
def test_what_is_asked_of_a_heading(heading: str, language: str, question: str) -> None:
    assert _question(heading, language) == question


def test_a_heading_that_answers_itself_is_not_asked(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "bees.md").write_text(
        "# Bees\n\n- Chapter 1: The colony in spring\n- Chapter 2: Robbing wasps\n\n"
        "## Chapter 1: The colony in spring\n\n- 12 kg\n- 4 combs\n\n"
        "## Chapter 2: Robbing wasps\n\nRobbing wasps are kept away by a narrow entrance of the hive.\n",
        encoding="utf-8",
    )
    with Library.create(tmp_path / "library", encoder=encoder) as library:
        library.sync([tmp_path / "bees.md"])
        alone = library.ask("What is said about “The colony in spring”?", k=3)
        assert [said.text for said in alone.sentences] == ["- Chapter 1: The colony in spring"]
        assert suggestions(library) == ("What is said about “Robbing wasps”?",)
