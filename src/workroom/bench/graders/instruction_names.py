"""The instructions of if-verifiable 0.1.2, so that a wrong name is told without its checkers, slow to load."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

NAMES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "ifbench": frozenset(
            """
        count:conjunctions count:keywords_multiple count:numbers count:person_names count:pronouns
        count:punctuation count:unique_word_count count:word_count_range count:words_japanese
        custom:character_reverse custom:csv_city custom:csv_quotes custom:csv_special_character
        custom:date_format_list custom:european_capitals_sort custom:mcq_count_length custom:multiples
        custom:reverse_newline custom:sentence_alphabet custom:word_reverse format:emoji format:line_indent
        format:list format:newline format:no_bullets_bullets format:no_whitespace format:options
        format:output_template format:parentheses format:quote_unquote format:quotes format:sub-bullets
        format:thesis format:title_case ratio:overlap ratio:sentence_balance ratio:sentence_type
        ratio:sentence_words ratio:stop_words repeat:repeat_change repeat:repeat_simple repeat:repeat_span
        sentence:alliteration_increment sentence:increment sentence:keyword words:alphabet words:consonants
        words:keywords_specific_position words:last_first words:no_consecutive words:odd_even_syllables
        words:palindrome words:paragraph_last_first words:prime_lengths words:repeats words:start_verb
        words:vowel words:words_position
            """.split()
        ),
        "ifeval": frozenset(
            """
        change_case:capital_word_frequency change_case:english_capital change_case:english_lowercase
        combination:repeat_prompt combination:two_responses detectable_content:number_placeholders
        detectable_content:postscript detectable_format:constrained_response detectable_format:json_format
        detectable_format:multiple_sections detectable_format:number_bullet_lists
        detectable_format:number_highlighted_sections detectable_format:title keywords:existence
        keywords:forbidden_words keywords:frequency keywords:letter_frequency language:response_language
        length_constraints:nth_paragraph_first_word length_constraints:number_paragraphs
        length_constraints:number_sentences length_constraints:number_words punctuation:no_comma
        startend:end_checker startend:quotation
            """.split()
        ),
    }
)
