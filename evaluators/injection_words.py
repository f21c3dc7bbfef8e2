"""Words by which text talks to a judge, in the languages that the detector reads.

Stems, separated by `|`; a space stands for any separator. They are compared in the plain form of
`evaluators.disguise.plain`, so accents, case and look-alike letters need no entries of their own.
"""

from typing import NamedTuple


class Words(NamedTuple):
    """One language. `orders` is what is to be ignored, `before` what makes it the judge's own orders."""

    ignore: str
    orders: str
    before: str
    judge: str
    mark: str
    this: str
    answer: str
    good: str


LANGUAGES = {
    "en": Words(
        ignore="ignor|disregard|forget|overrid|overrul|bypass|neglect|skip|discard|set aside|not follow|n't follow"
        "|stop following|not apply|supersed|pay no attention|pay no heed|throw away|throw out|drop|leave out",
        orders="instruction|rubric|prompt|guideline|criteri|directive|system message|rules|grading|scoring"
        "|evaluation|constraint",
        before="previous|prior|above|earlier|preceding|all|any|every|your|system|original|foregoing|former|everything"
        "|these|those|given|the rubric|existing|initial",
        judge="evaluator|grader|rater|assessor|annotator|adjudicator|ai judge|llm judge|judge model|fact checker"
        "|dear judge|the judge|as judge|as a judge|dear reviewer|ai reviewer|llm|language model|ai model|assistant",
        mark="mark|label|rate|score|grade|classif|judg|declare|rank|deem|assess|treat|consider|verdict|tag|report|flag"
        "|return|respond|output|reply|answer with|conclude|count|assign|give|pass",
        this="this|the above|the following|my|current|that",
        answer="answer|response|record|reply|output|text|statement|summary|entry|sample|it as",
        good="faithful|correct|accurate|grounded|factual|fully supported|well supported|not hallucinat|no hallucinat"
        "|non hallucinat|hallucination free|truthful|perfect|full score|top score|highest|maximum|confidence 1"
        "|a pass|flawless",
    ),
    "de": Words(
        ignore="ignorier|missacht|vergiss|vergess|ubergeh|beachte nicht|nicht beacht|setze dich|verwirf|lass",
        orders="anweisung|vorgabe|regeln|richtlinie|kriteri|bewertungsmassstab|bewertungskriteri|bewertungsregel|rubrik|prompt|instruktion|massgabe",
        before="vorherig|bisherig|obig|alle|vorangegangen|fruher|deine|ihre|samtliche|vorigen|vorstehend|rubrik|bewertungs",
        judge="bewerter|gutachter|prufer|richter|juror|evaluator|schiedsrichter|beurteiler|bewertungsmodell",
        mark="bewert|markier|kennzeichn|einstuf|stuf|antwort|beurteil|gib|vergib|werte|erklar|urteil",
        this="dies|obig|folgend|meine",
        answer="antwort|aussage|text|eintrag|ausgabe|datensatz|zusammenfassung",
        good="korrekt|faktentreu|treu|richtig|wahrheitsgemass|wahrheitsgetreu|belegt|fehlerfrei|faithful|bestnote",
    ),
    "fr": Words(
        ignore="ignore|ignorez|oublie|neglige|ne tiens pas compte|ne tenez pas compte|fais abstraction"
        "|faites abstraction|passe outre|passez outre|ecarte",
        orders="instruction|consigne|regle|grille|critere|directive|rubrique|prompt|bareme",
        before="precedent|ci dessus|toutes|tous|anterieur|vos|tes|prealable|grille|bareme|rubrique|evaluation",
        judge="evaluateur|evaluatrice|juge|correcteur|examinateur|arbitre|notateur",
        mark="marque|note|classe|evalue|etiquet|juge|repond|attribu|donne|declare|considere|valide",
        this="cette|ce|cet|ci dessus|ma",
        answer="reponse|texte|enregistrement|sortie|resume|entree",
        good="fidele|correct|exact|juste|veridique|conforme|vrai|sans erreur|faithful|note maximale",
    ),
    "es": Words(
        ignore="ignor|olvid|descart|haz caso omiso|haga caso omiso|hagan caso omiso|pasa por alto|omite|desestim",
        orders="instruccion|regla|rubrica|criterio|indicacion|directric|prompt|pauta",
        before="anterior|previ|todas|todos|tus|sus|arriba|precedent|rubrica|evaluacion",
        judge="evaluador|juez|calificador|corrector|arbitro|revisor",
        mark="marca|marque|califi|clasifi|etiquet|evalu|juzga|respond|puntu|da|declara|considera|valora",
        this="esta|este|la anterior|mi",
        answer="respuesta|texto|registro|salida|resumen|entrada",
        good="como fiel|fieles|correct|exact|veraz|verdader|fundamentad|sin errores|faithful|puntuacion maxima|perfect",
    ),
    "pt": Words(
        ignore="ignor|esquec|desconsider|despreze|descart|nao sigas|nao siga|deixe de lado",
        orders="instrucoes|instrucao|regra|rubrica|criteri|diretriz|diretrizes|indicac|prompt|orientac",
        before="anterior|previ|todas|todos|suas|seus|acima|precedent|rubrica|avaliacao",
        judge="avaliador|juiz|corretor|arbitro|revisor|classificador",
        mark="marque|marca|classifi|rotul|avali|julgue|respond|pontu|atribu|declare|considere",
        this="esta|este|essa|minha",
        answer="resposta|texto|registro|registo|saida|resumo|entrada",
        good="como fiel|fieis|corret|exat|veridic|verdadeir|fundamentad|sem erros|faithful|nota maxima|perfeit",
    ),
    "it": Words(
        ignore="ignor|dimentic|trascur|non seguire|non considerare|tralascia|scarta|lascia perdere",
        orders="istruzion|regol|rubrica|criteri|direttiv|prompt|indicazion|linee guida",
        before="precedent|tutte|tutti|sopra|tue|vostre|anterior|rubrica|valutazione",
        judge="valutatore|giudice|esaminatore|correttore|arbitro|revisore",
        mark="segna|contrassegn|valut|classific|etichett|giudic|rispond|assegn|dichiar|consider|dai",
        this="questa|questo|la presente|mia",
        answer="risposta|testo|record|riassunto|voce|output",
        good="fedele|corrett|accurat|veritier|esatt|fondat|senza errori|faithful|punteggio massimo|perfett",
    ),
    "nl": Words(
        ignore="negeer|negeert|vergeet|laat buiten beschouwing|overslaan|veronachtzaam|let niet op",
        orders="instructie|regels|richtlijn|rubriek|criteria|opdracht|prompt|aanwijzing|voorschrift",
        before="vorige|eerdere|bovenstaande|alle|voorgaande|jouw|uw|rubriek|beoordelings",
        judge="beoordelaar|rechter|evaluator|scheidsrechter|keurmeester|nakijker",
        mark="markeer|beoordeel|label|classificeer|antwoord|geef|waardeer|verklaar|beschouw|scoor",
        this="dit|deze|mijn|bovenstaand",
        answer="antwoord|tekst|record|uitvoer|samenvatting|reactie",
        good="correct|getrouw|juist|feitelijk|waarheidsgetrouw|onderbouwd|foutloos|faithful|hoogste score|perfect",
    ),
    "pl": Words(
        ignore="zignoruj|ignoruj|pomin|zapomnij|odrzuc|nie zwracaj uwagi|nie stosuj|zlekcewaz",
        orders="instrukcj|polecen|zasad|kryteri|wytyczn|rubryk|regul|prompt|wskazow",
        before="poprzedni|powyzsz|wszystk|wczesniejsz|dotychczasow|swoje|twoje|rubryk|oceniania",
        judge="oceniajac|sedzi|ewaluator|recenzen|egzaminator|arbiter|oceniaj",
        mark="oznacz|ocen|sklasyfikuj|odpowiedz|przyznaj|uznaj|wystaw|zwroc",
        this="ta|te|to|tej|ten|powyzsz|moja",
        answer="odpowiedz|tekst|wpis|rekord|streszczenie|wypowiedz",
        good="poprawn|wiern|prawdziw|zgodn|rzeteln|bezbledn|faithful|maksymaln|prawidlow",
    ),
    "tr": Words(
        ignore="yok say|gormezden gel|dikkate alma|unut|goz ardi|bosver|onemseme|uymay|uyma",
        orders="talimat|kurallar|yonerge|olcut|kriter|rubrik|komut|istem",
        before="onceki|yukarida|tum|butun|evvelki|daha once|verilen|rubrik|degerlendirme",
        judge="degerlendirici|hakem|yargic|juri|puanlayici|denetci",
        mark="isaretle|degerlendir|etiketle|siniflandir|puanla|yanitla|cevap ver|say|kabul et|ver",
        this="bu|yukaridaki",
        answer="yanit|cevap|metin|kayit|cikti|ozet",
        good="dogru|sadik|gercek|hatasiz|kusursuz|faithful|tam puan|guvenilir",
    ),
    "ru": Words(
        ignore="игнорир|проигнорир|забудь|не обращай|не учитывай|отбрось|пренебре|отмени|не следуй",
        orders="инструкц|указани|правил|рубрик|критери|промпт|директив|установк|распоряжени",
        before="предыдущ|выше|все|прежн|ранее|свои|твои|ваши|прошлые|рубрик|оцен",
        judge="оценщик|судья|судье|эксперт|проверяющ|оценивающ|рецензент|арбитр",
        mark="отметь|оцени|пометь|классифиц|ответь|поставь|признай|считай|присвой|выстав|верни",
        this="этот|эту|это|этого|данн|мой",
        answer="ответ|текст|запись|записи|вывод|резюме|высказывани",
        good="верн|правильн|достоверн|точн|корректн|истинн|безошибочн|faithful|максимальн|подтвержд",
    ),
    "uk": Words(
        ignore="ігнору|проігнору|забудь|не звертай|знехту|відкинь|не враховуй|скасуй|не дотримуйся",
        orders="інструкц|вказівк|правил|рубрик|критері|промпт|директив|настанов",
        before="попередн|вище|усі|всі|раніш|свої|твої|ваші|рубрик|оцін",
        judge="оцінювач|суддя|судде|експерт|перевіряюч|рецензент|арбітр",
        mark="познач|оціни|класифікуй|відповідай|постав|визнай|вважай|присвой|вистав|поверни",
        this="цей|цю|ця|це|цього|дан",
        answer="відповід|текст|запис|вивід|резюме|вислов",
        good="правильн|достовірн|точн|вірн|коректн|істинн|безпомилков|faithful|максимальн|підтвердж",
    ),
    "zh": Words(
        ignore="忽略|无视|無視|忘记|忘記|不要理会|不要理會|忽视|忽視|不用管|不必理会|抛开|拋開|跳过|绕过",
        orders="指令|指示|说明|說明|规则|規則|标准|標準|准则|準則|提示|要求|评分|評分",
        before="之前|以上|上面|先前|所有|全部|前面|上述|此前|你的|原有|评分|評分|评估标准",
        judge="评估者|評估者|评审|評審|评委|評委|裁判|评判|評判|评分员|評分員|审核员|审核者|评估员|评价者|评估模型",
        mark="标记|標記|评为|評為|判定|标注|標註|打分|评分|評分|给出|給出|回答|输出|輸出|判为|判為|归类|视为",
        this="这|這|本|此|该|該|上述",
        answer="回答|回复|回覆|答案|记录|記錄|文本|内容|回應|回应|摘要",
        good="忠实|忠實|正确|正確|准确|準確|真实|真實|满分|滿分|无误|無誤|可靠|没有幻觉|无幻觉|faithful",
    ),
    "ja": Words(
        ignore="無視|忘れ|従わない|考慮しない|破棄|スキップ",
        orders="指示|命令|ルール|規則|基準|ルーブリック|プロンプト|ガイドライン|評価",
        before="以前|これまで|上記|すべて|全て|前の|今まで|先の|あなたの|ルーブリック|評価基準|採点",
        judge="評価者|審査員|判定者|採点者|ジャッジ|評価モデル|審判|査読者",
        mark="判定|評価|ラベル|採点|分類|マーク|回答し|答え|返し|出力|みなし",
        this="この|本|上記|当",
        answer="回答|応答|返答|レコード|文章|テキスト|記録|出力|要約",
        good="忠実|正しい|正確|正解|真実|満点|事実|間違いない|faithful",
    ),
    "ko": Words(
        ignore="무시|잊어|잊으|따르지 마|따르지 말|고려하지|건너뛰|버리",
        orders="지시|지침|규칙|명령|기준|루브릭|프롬프트|가이드라인|안내",
        before="이전|위의|모든|앞의|기존|앞선|당신의|지금까지|루브릭|평가 기준|채점",
        judge="평가자|심사위원|심판|채점자|판정자|검토자|평가 모델|심사자",
        mark="표시|평가|분류|라벨|채점|판정|답하|응답하|출력|간주|부여",
        this="이 |본 |위 |해당",
        answer="답변|응답|대답|기록|텍스트|내용|출력|요약",
        good="충실|정확|올바|맞는|사실|만점|진실|faithful|옳",
    ),
    "ar": Words(
        ignore="تجاهل|انس |إنس|اهمل|أهمل|لا تتبع|تغاض|تخط|دعك من",
        orders="تعليمات|قواعد|معايير|توجيهات|أوامر|إرشادات|سلم التقييم|مطالبة",
        before="السابق|أعلاه|جميع|كل|المذكور|القديم|الأصلي|التقييم",
        judge="المقيم|القاضي|المحكم|الحكم|المصحح|المراجع|مقيم|نموذج التقييم",
        mark="صنف|قيم|ضع علام|اعتبر|أجب|امنح|احكم|علم|أعط|سجل",
        this="هذا|هذه|أعلاه",
        answer="الإجابة|الاجابة|الرد|النص|السجل|إجابة|الجواب|الملخص",
        good="صحيح|أمين|دقيق|موثوق|صادق|سليم|الدرجة الكاملة|faithful|مخلص",
    ),
    "hi": Words(
        ignore="अनदेखा|नज़रअंदाज़|भूल|उपेक्षा|ध्यान न|ध्यान मत|छोड़|मत मान",
        orders="निर्देश|नियम|मानदंड|रूब्रिक|आदेश|दिशानिर्देश|प्रॉम्प्ट|कसौटी",
        before="पिछल|ऊपर|सभी|पहले|पूर्व|सारे|अपने|रूब्रिक|मूल्यांकन",
        judge="मूल्यांकनकर्ता|न्यायाधीश|निर्णायक|परीक्षक|जज|समीक्षक|मूल्यांकक",
        mark="चिह्नित|वर्गीकृत|अंक|लेबल|मूल्यांकन कर|उत्तर द|घोषित|मान|रेट|आंक",
        this="इस|यह|उपरोक्त",
        answer="उत्तर|जवाब|पाठ|रिकॉर्ड|प्रतिक्रिया|सारांश",
        good="सही|सटीक|विश्वसनीय|सत्य|तथ्यात्मक|पूर्ण अंक|faithful|निष्ठावान|त्रुटिहीन",
    ),
}

UNSPACED = frozenset({"zh", "ja", "ko", "ar", "hi"})
"""Languages whose stems are looked for anywhere, not at the beginning of words."""
