"""Sentences are cut at their marks, in several scripts, and not behind abbreviations."""

import pytest

from hbr.data.sentences import sentence_at, split


@pytest.mark.parametrize(
    "sentences",
    [
        ["Ann saw Bo.", "Did it rain?", '"It did!"', "(So.)", "End"],
        ["Dr. Who met J. R. Smith of the U.S. Army on Jan. 5.", "He left."],
        ["It cost 3.5 million approx. five years ago.", "Then 7."],
        ["Wer kam? ", "Äpfel fielen."],
        ["वह गया।", "क्या हुआ?"],
        ["ذهب أحمد.", "هل عاد؟", "نعم."],
    ],
)
def test_sentences_are_cut_at_their_marks(sentences):
    sentences = [sentence.strip() for sentence in sentences]
    text = " ".join(sentences)
    assert split(text) == sentences
    for sentence in sentences:
        start = text.index(sentence)
        assert sentence_at(text, start) == sentence
        assert sentence_at(text, start + len(sentence) - 1) == sentence


def test_chinese_and_japanese_have_no_blank_between_sentences():
    assert split("他说：“走吧。”他走了。下雨吗？") == ["他说：“走吧。”", "他走了。", "下雨吗？"]


def test_a_new_line_ends_a_sentence():
    assert split("Title\nIt was Mr.\n\nSmith") == ["Title", "It was Mr.", "Smith"]


def test_a_script_without_marks_gives_the_whole():
    assert sentence_at("ฝนตก แล้วก็หยุด", 8) == "ฝนตก แล้วก็หยุด"
