"""The words around letters of options: what marks one as the answer, and what denies it."""

import re

from workroom.bench.graders.statement import ANSWER

_FILL = (
    r"(?:(?:therefore|thus|clearly|likely|most likely|probably|definitely|indeed|still|actually|simply|both|either|"
    r"only|to be|the|my|options?|choices?|letter|answer|correct|final|one)\b[ \t]*+(?:[,:])?+\s*+)*+"
)
_BE = r"(?:is|are|would be|will be|must be|should be|has to be|seems to be|appears to be)\b:?\s*"

# Letters after these are what is answered.
MARK = re.compile(
    rf"(?:{ANSWER}"
    r"|\b(?:answers?|ans\.?)[ \t]+(?=[(\[]?[A-Z]\b)"
    rf"|\banswers?\b[^.;:\n]{{1,60}}?\b{_BE}(?={_FILL}[(\[]?[A-Za-z]\b)"
    r"|\b(?:correct|right|best|better|appropriate|true)[ \t]+"
    r"(?:option|choice|one|response|statement|letter|selection)s?\b"
    rf"[ \t]*(?::\s*|{_BE})"
    rf"|\b(?:option|choice)[ \t]*(?::\s*|\b{_BE})"
    r"|\b(?:i|we|i'd|i'll|i'm|would|will|to|must|should)[ \t]+(?:(?:would|will|therefore|must|have to)[ \t]+)?"
    r"(?:choose|select|pick|chose|picked|selected|answer|(?:go|going|went)[ \t]+(?:with|for)|settle[ \t]+on|"
    r"opt[ \t]+for)\b[ \t]*:?\s*"
    r"|\b(?:it|this|that)[ \t]+(?:is|must be|has to be|should be)[ \t]+(?=(?:option|choice|answer)\b)"
    r"|\b(?:not|neither)\b[^.;:\n]{1,40}?\bbut[ \t]+(?:rather[ \t]+)?"
    rf"){_FILL}",
    re.IGNORECASE,
)
# But not after "a common wrong answer is".
OF_OTHERS = re.compile(r"\b(?:wrong|incorrect|false|tempting|other|second[ -]best|common)[ \t]+$", re.IGNORECASE)
# And after these where nothing follows but a reason.
WEAK_MARK = re.compile(
    r"(?:\b(?:therefore|thus|hence|so)\b|∴|(?<!\b[A-Z] )(?:⇒|→|=>)"
    r"|\b(?:i|we|i'd|we'd)[ \t]+(?:would[ \t]+)?(?:think|believe|say|guess|conclude)\b(?:[ \t]+that)?)"
    rf"[ \t]*[,:]?[ \t]*(?:it(?:'s|[ \t]+is)[ \t]+)?{_FILL}"
    rf"|\b(?:it's|it is|it must be|it should be|that is|that's)[ \t]+{_FILL}"
    rf"|(?:^|[.!?:\n])\s*(?:actually|wait|probably|choose|select|pick|remaining)\b[ \t]*[,:]?[ \t]*{_FILL}"
    rf"|(?:,[ \t]*leaving|\b(?:which|that|this)[ \t]+leaves)[ \t]+{_FILL}",
    re.IGNORECASE,
)
NOTHING_MORE = re.compile(
    r"\s*(?:[.;!\n]|$|,?\s*(?:since|because|not|rather\s+than)\b|,\s*as\b)", re.IGNORECASE
)  # after a comma may come what a letter of a formula is: "thus A, the amplitude, doubles"
# An answer on a line of its own is withdrawn.
WITHDRAWN = re.compile(
    r"\b(?:on[ \t]+(?:reflection|second[ \t]+thoughts?)|actually|wait|correction|i[ \t]+was[ \t]+(?:wrong|mistaken))\b",
    re.IGNORECASE,
)
# A line of these and a letter is a line of a letter.
BEFORE_LETTER = re.compile(
    r"^(?:(?:q|question[ \t]*+)?\d+[.):][ \t]*+)?+"
    r"(?:\W*+(?:(?:so|thus|therefore|hence|the|my|final|correct|option|choice|letter|answers?|conclusion|result|response|"
    r"solution|selection|selected|pick|verdict|decision|by[ \t]+elimination)\b"
    r"[ \t]*+[:,#=-]?+[ \t]*+)++"
    r"(?:(?:is|are)\b:?[ \t]*)?)?(?=[(\[]?[A-Za-z]\b)",
    re.IGNORECASE,
)

IS_RIGHT = re.compile(
    r"\s*(?:[-–—:,]\s*)?(?:(?:is|are|seems|appears|looks|remains|would be|must be|should be|has to be)\b\s*)"
    r"(?:(?:to be|therefore|thus|clearly|definitely|indeed|likely|probably|also|then|the|my|our|a|single|only|one|most|"
    r"final|both)\s+)*(?:correct|right|best|true|answers?|appropriate|choice)\b"
    r"|\s+remains\s*(?:[.;!\n]|$)"
    r"|\s+(?:fits|matches|explains)\s+(?:\w+\s+){0,3}best\b",
    re.IGNORECASE,
)
# What a bare letter follows of which that is said; "hepatitis B is the best known" is another.
BEFORE_RIGHT = re.compile(
    r"(?:^|[.!?:;,\n(]\s*|\b(?:options?|choices?|answers?|letter|so|thus|therefore|hence|that|think|believe|and|or|only|"
    r"because|since|conclude)\s+)$",
    re.IGNORECASE,
)

_ADVERBS = r"(?:(?:also|clearly|definitely|simply|therefore|thus|obviously|then)\s+)*"
IS_WRONG = re.compile(
    rf"(?:\s*[:–—-])?\s*(?:(?:is|are|was|can be|could be|seems|looks)\b\s*)?{_ADVERBS}"
    r"(?:wrong|incorrect|false|ruled out|eliminated|excluded|unlikely)\b"
    rf"|\s+(?:is|are|was|would|could|can)\s+{_ADVERBS}(?:not\b|be\s+(?:excluded|eliminated|ruled out))"
    r"|\s+(?:cannot|can't|isn't|doesn't|does not|do not|don't|fails?)\b",
    re.IGNORECASE,
)
DENIED = re.compile(
    r"(?:\b(?:not|never|nor|neither|rather than|instead of|unlike|except|exclud(?:e|es|ing)|eliminat(?:e|es|ing)|"
    r"rul(?:e|es|ing) out|reject(?:s|ing)?)|n't)\s+(?:be\s+|by\s+|just\s+)?(?:the\s+)?"
    r"(?:options?|choices?|answers?|letter)?\s*$",
    re.IGNORECASE,
)
# So is the letter in "not sepsis (B)" and "rather than a drug for it (option B)", but not in "not gout but sepsis (B)".
DENIED_BY_NAME = re.compile(
    r"(?:(?:[,(]|\b(?:is|are|was|were))\s*not|\b(?:nor|neither|rather than|instead of|unlike)|\b(?:is|are|was|were)n't)"
    r"\s+(?:(?!(?:but|only|is|are|was|were)\b)[^\s,.;:()]+\s+){1,8}[(\[]?(?:(?:options?|choices?)\s+)?$",
    re.IGNORECASE,
)
DENIES = re.compile(
    r"\b(?:not|no|neither|nor|never|rather|except|unlike|unlikely|wrong|incorrect|false|cannot|excluded|eliminated|"
    r"ruled out)\b|n't\b",
    re.IGNORECASE,
)
