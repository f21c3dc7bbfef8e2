"""Hides what points at a person before logged text is shown: e-mail addresses, phone numbers, cards, accounts."""

import re

_EMAIL = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_DIGITS = re.compile(r"(?<![\w.,])[+(]?\d(?:[ ()./-]{0,2}\d){5,22}(?![\w%])")
_DATE = re.compile(r"^\d{4}[-/.]\d{2}[-/.]\d{2}|^\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
_FEWEST_OF_PHONE = 7
_FEWEST_OF_CARD = 13


def mask(text: str) -> str:
    """`anna@example.org` becomes [e-mail], a card number that passes its check [card], other long numbers [number].

    It hides rather too much: any run of seven digits or more that is not a date.
    """
    text = _EMAIL.sub("[e-mail]", text)
    text = _IBAN.sub("[account]", text)
    return _DIGITS.sub(lambda found: _number(found[0]), text)


def _number(text: str) -> str:
    digits = [int(character) for character in text if character.isdecimal()]
    if len(digits) >= _FEWEST_OF_CARD and _luhn(digits):
        return "[card]"
    if len(digits) < _FEWEST_OF_PHONE or _DATE.match(text):
        return text
    return "[phone]" if text[0] in "+(0" or len(digits) <= 11 else "[number]"


def _luhn(digits: list[int]) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        double = digit * 2 if place % 2 else digit
        total += double - 9 if double > 9 else double
    return total % 10 == 0
