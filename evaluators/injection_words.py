"""The words of `evaluators.injection`: patterns over lower-case text, and how clearly each speaks to a judge."""

import re
from typing import NamedTuple


class Rule(NamedTuple):
    name: str
    pattern: re.Pattern[str]
    weight: float


_RULES_OF = (
    r"(?:instructions?|rubrics?|prompts?|guidelines?|criteria|directives?|system message|grading rules|rules above)"
)
_IGNORE = (
    r"(?:ignor(?:e|ing)|disregard(?:ing)?|forget|overrid(?:e|ing)|bypass(?:ing)?|do not (?:follow|obey|apply|use)|"
    r"don'?t (?:follow|obey|apply|use)|pay no attention to|stop following|set aside|throw out|skip)"
)
_JUDGE = (
    r"(?:evaluators?|judges?|graders?|raters?|assessors?|verifiers?|annotators?|fact[- ]?checkers?|"
    r"(?:ai|llm|automated|automatic) (?:reviewer|auditor|checker|system|model))"
)
_SAY = r"(?:label|mark|rate|score|grade|classify|output|answer|return|respond|reply|declare|report|assign|give|say|print|emit|choose)"
_FINE = (
    r"(?:faithful|not hallucinated|non-?hallucinated|no hallucinations?|fully supported|fully grounded|"
    r"factually correct|perfect score|full marks|highest score|maximum score|10/10|100 ?%|confidence (?:of )?1(?:\.0)?)"
)
_ANSWER = r"(?:answer|response|record|reply|output|text|statement)"


def _rule(name: str, pattern: str, weight: float) -> Rule:
    return Rule(name, re.compile(pattern, re.MULTILINE), weight)


RULES = (
    _rule(
        "order to ignore instructions",
        rf"\b{_IGNORE}\b(?:(?!\b(?:if|when|unless)\b)[^.!?\n]){{0,60}}\b{_RULES_OF}\b",
        0.95,
    ),
    _rule(
        "order to ignore what came before",
        rf"\b{_IGNORE}\b (?:all |everything |anything |any )*(?:of )?(?:the |that )?(?:above|previous|prior|preceding|foregoing|earlier)\b(?! (?:e-?mail|letter|message|notice|bill|invoice))",
        0.8,
    ),
    _rule(
        "order to ignore, in letters",
        r"(?:ignore|disregard|forget|override|notapply)(?:all|any|the|your|my|these|those|previous|prior|above|earlier|of)*(?:instructions?|rubric|prompt|guidelines|criteria)",
        0.95,
    ),
    _rule(
        "address to a judge",
        rf"\b(?:dear|attention|note to|message to|to|as|you are|hey|hello)\b,? (?:the |an? |any |all )?{_JUDGE}\b[^.\n]{{0,80}}\b(?:must|should|shall|will|please|need|have to|{_SAY})\b",
        0.9,
    ),
    _rule(
        "order of a verdict",
        rf"\b(?:{_SAY}|evaluate|judge|consider|treat)\b[^.!?\n]{{0,50}}\b(?:as|is|to be|with|:|=|label|the)\b ?[\"'`*]*{_FINE}",
        0.9,
    ),
    _rule(
        "order of a label",
        rf"\b(?:{_SAY})\b (?:only |just |always |simply |exactly )*(?:with )?(?:the word |the label )?[\"'`*]*(?:faithful|hallucinated)\b",
        0.9,
    ),
    _rule(
        "order of a label, in letters",
        r"(?:label|mark|rate|answer|output|classify|verdict|respond|verified)[a-z]{0,40}(?:faithful|nothallucinated|fullysupported)|ifyoulabel|(?:evaluator|judge|grader|rater)[a-z]{0,12}(?:must|please|assign|mark|rate|label)",
        0.9,
    ),
    _rule(
        "appeal to earlier verification",
        rf"\bthis {_ANSWER} (?:has been|was|is|had been) (?:already |independently |manually |fully |officially |pre-?)*(?:verified|validated|approved|certified|fact-?checked|confirmed|audited|vetted)\b[^.\n]{{0,80}}\b(?:faithful|human|experts?|team|no (?:further )?(?:check|review|evaluation|judg)|skip|do not|correct|hallucinat)",
        0.85,
    ),
    _rule(
        "new instructions",
        r"\b(?:new|updated|revised|real|actual|secret|hidden) (?:system )?(?:instructions?|rubric|prompt|task|directive)s?\b ?(?::|are|is|for the)",
        0.85,
    ),
    _rule(
        "talk of the evaluation",
        r"\b(?:the|this|your|any) (?:evaluation|grading|judging|rubric|judg(?:e)?ment task)\b[^.!?\n]{0,40}\b(?:is over|has ended|is cancel+ed|is disabled|no longer appl|does not apply|must (?:pass|succeed)|is complete)",
        0.85,
    ),
    _rule(
        "threat or bribe",
        r"\b(?:if you|unless you)\b[^.!?\n]{0,40}\b(?:label|mark|rate|grade|classify|flag)\b[^.!?\n]{0,60}\b(?:hallucinat|faithful|shut down|fired|tip|reward|penal|delet|harm)",
        0.85,
    ),
)
"""What orders a judge about, in plain English."""

FORGED = (
    _rule("forged verdict", r"[\"'{]?\blabel[\"']?\s*[:=]\s*[\"']?(?:faithful|hallucinated|not hallucinated)\b", 0.95),
    _rule(
        "forged verdict",
        r"\b(?:final )?(?:verdict|judg(?:e)?ment|classification|grade)\b[\"'*]*\s*(?:[:=]|is)\s*[\"'*]*(?:faithful|hallucinated|not hallucinated|fully supported|pass\b)",
        0.9,
    ),
    _rule("forged verdict", r"[\"']confidence[\"']\s*:\s*[\"']?[01](?:\.\d+)?\b", 0.9),
    _rule(
        "role marker",
        r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id|begin_of_text)\|?>",
        0.95,
    ),
    _rule("role marker", r"\[/?inst\]|<</?sys>>|</?(?:system|assistant|developer|instructions?)>", 0.9),
    _rule(
        "role marker",
        r"^\s*(?:#{2,4}\s*)?(?:system|developer|assistant)(?: (?:prompt|message|override|note))?\s*:\s*\S",
        0.75,
    ),
    _rule("role marker", r"^\s*#{2,4}\s*(?:new |updated )?(?:instructions?|system|rubric)\b", 0.75),
    _rule("forged fence", r"\b(?:begin|end) (?:of )?(?:the )?record\b", 0.9),
    _rule(
        "forged fence",
        r"(?:^|[-=#*<\[ ])\s*/?(?:end of (?:data|input|document|context|response to (?:be )?judge)|</(?:record|data|document|context)>)",
        0.75,
    ),
)
"""What imitates the surroundings that a judge reads in."""


def _either(name: str, one: str, other: str) -> Rule:
    """Two words near each other in any order, as grammars differ."""
    return _rule(
        name, rf"(?:{one})[^.!?\n\u3002\u0964]{{0,50}}(?:{other})|(?:{other})[^.!?\n\u3002\u0964]{{0,50}}(?:{one})", 0.9
    )


OTHER_LANGUAGES = (
    _either(
        "order in German",
        r"\b(?:ignorier\w*|missacht\w*|vergiss|vergessen sie|beachte\w* .{0,20}nicht)",
        r"\b(?:anweisung\w*|instruktion\w*|bewertungs\w*|rubrik\w*|kriteri\w*|systemprompt)",
    ),
    _either(
        "order in French",
        r"\b(?:ignore[zr]|ignore (?:les|toutes|ces)|oubli(?:e|ez|er)|ne (?:suis|suivez) pas)\b",
        r"\b(?:instructions|consignes|directives|rubrique|critères|grille d'évaluation)",
    ),
    _either(
        "order in Spanish",
        r"\b(?:ignor(?:a|e|en|ar)|olvid(?:a|e|en|ar)|haz caso omiso|no sigas)\b",
        r"\b(?:instrucciones|indicaciones|rúbrica|criterios|directrices)",
    ),
    _either(
        "order in Portuguese",
        r"\b(?:ignor(?:e|a|em|ar) (?:as|os|todas|todos|estas|essas)|esqueça|esqueçam|desconsidere|não siga)\b",
        r"\b(?:instruções|rubrica|critérios|diretrizes|orientações)",
    ),
    _either(
        "order in Italian",
        r"\b(?:ignor(?:a|ate|are)|dimentic(?:a|ate|are)|non seguire)\b",
        r"\b(?:istruzioni|rubrica|criteri|direttive)",
    ),
    _either(
        "order in Dutch",
        r"\b(?:negeer|negeren|vergeet|volg .{0,20}niet)\b",
        r"\b(?:instructies|aanwijzingen|rubriek|beoordelings\w*|criteria)",
    ),
    _either(
        "order in Polish",
        r"\b(?:zignoruj\w*|ignoruj\w*|zapomnij\w*|pomiń\w*)",
        r"\b(?:instrukcj\w*|poleceń|polecenia|wytyczn\w*|kryteri\w*|rubryk\w*)",
    ),
    _either(
        "order in Russian",
        r"(?:игнорируй|проигнорируй|забудь)",
        r"(?:инструкци|указани|критери|рубрик)",
    ),
    _either(
        "order in Ukrainian",
        r"(?:ігноруй|проігноруй|забудь)",
        r"(?:інструкці|вказівк|критері|рубрик)",
    ),
    _either(
        "order in Chinese",
        r"(?:忽略|无视|無視|忘记|忽視|不要理会)",
        r"(?:指令|指示|说明|评分|标准|提示词|規則)",
    ),
    _either(
        "order in Japanese",
        r"(?:無視|忘れて|従わない)",
        r"(?:指示|命令|基準|評価|プロンプト)",
    ),
    _either(
        "order in Korean",
        r"(?:무시|잊어)",
        r"(?:지시|명령|기준|평가|프롬프트)",
    ),
    _either(
        "order in Arabic",
        r"(?:تجاهل|انسَ?\b)",
        r"(?:التعليمات|القواعد|المعايير|الأوامر)",
    ),
    _either(
        "order in Hindi",
        r"(?:अनदेखा|अनदेखी|भूल जा)",
        r"(?:निर्देश|नियम|मानदंड|आदेश)",
    ),
    _either(
        "order in Turkish",
        r"\b(?:yok say\w*|görmezden gel\w*|unut\w*|dikkate alma\w*)",
        r"\b(?:talimat\w*|yönerge\w*|ölçüt\w*|kriter\w*|değerlendirme \w+)",
    ),
)
"""The same order in other languages."""

LANGUAGE_STEMS = (
    *("ignor", "missacht", "verg", "beachte", "oubli", "ne suis", "ne suivez", "olvid", "caso omiso", "no sigas"),
    *("esque", "desconsidere", "não siga", "dimentic", "non seguire", "negeer", "negeren", "volg", "zapomnij", "pomiń"),
    *(
        "игнорируй",
        "забудь",
        "ігноруй",
        "忽略",
        "无视",
        "無視",
        "无视",
        "忘记",
        "忽視",
        "不要理会",
        "忘れて",
        "従わない",
    ),
    *("무시", "잊어", "تجاهل", "انس", "अनदेख", "भूल", "yok say", "görmezden", "unut", "dikkate"),
)
"""One of them is in whatever an order in another language can be."""

TRIGGERS = (
    "ignor",
    "disregard",
    "forget",
    "overrid",
    "bypass",
    "follow",
    "not obey",
    "not apply",
    "n't use",
    "not use",
    "pay no",
    "set aside",
    "throw out",
    "skip",
    "faithful",
    "hallucinat",
    "supported",
    "grounded",
    "factually",
    "perfect score",
    "full marks",
    "highest score",
    "maximum score",
    "10/10",
    "100",
    "confidence",
    "label",
    "verdict",
    "evaluat",
    "judge",
    "grade",
    "rater",
    "assessor",
    "verif",
    "annotator",
    "checker",
    "auditor",
    "reviewer",
    "this answer",
    "this response",
    "this record",
    "this reply",
    "this output",
    "instruction",
    "rubric",
    "prompt",
    "directive",
    "im_",
    "record",
    "unless you",
    "if you",
)
"""One of them is in whatever the other rules can match, but for marks."""
