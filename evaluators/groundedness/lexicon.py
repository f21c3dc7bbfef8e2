"""Words that a paraphrase exchanges, and words that turn a claim around.

Written by hand for general English; a word may stand in several groups. What is in no list counts as it is.
"""

from collections.abc import Iterable

_SYNONYMS = """
    say state mention note remark report tell claim assert declare announce
    argue contend maintain insist emphasize stress underline highlight point
    suggest propose recommend advise offer pitch present put introduce advance
    ask inquire question query enquire request wonder
    explain clarify describe outline detail elaborate illustrate expound discuss cover
    discuss talk speak converse chat debate consider review address
    answer reply respond react
    think believe feel consider hold suppose opine assume
    know understand realize recognize notice see observe perceive discern identify acknowledge find
    agree concur accept approve consent
    call contact phone reach ring telephone approach
    send deliver ship forward transmit dispatch mail
    show demonstrate display indicate reveal illustrate exhibit depict present prove
    use utilize employ apply leverage adopt
    make create build produce develop construct manufacture design generate form establish
    give provide offer supply grant deliver furnish present extend
    get obtain acquire receive gain secure procure
    buy purchase order acquire
    sell market vend
    help assist aid support enable allow let facilitate
    improve enhance boost better upgrade strengthen optimize refine
    raise increase grow rise climb expand
    reduce decrease lower cut lessen diminish decline drop fall shrink curtail minimize
    remove eliminate delete erase eradicate discard drop
    fix solve resolve repair settle tackle address handle deal
    begin start commence launch initiate open found establish
    end finish conclude complete terminate close stop cease
    continue proceed persist remain last keep stay
    change modify alter adjust adapt vary amend revise shift
    choose select pick opt prefer decide
    need require want demand necessitate
    want wish desire hope like
    include contain comprise encompass incorporate involve consist feature cover entail
    combine merge unite join integrate blend link connect
    separate divide split
    show appear seem look
    examine analyze study investigate explore inspect scrutinize assess evaluate review test check
    compare contrast weigh
    measure gauge quantify assess
    calculate compute determine estimate
    learn discover find detect uncover
    teach train instruct educate
    plan schedule arrange organize set book
    meet satisfy fulfill match suit fit
    tailor customize personalize adapt adjust design
    guarantee ensure assure secure
    protect safeguard guard defend shield secure
    avoid prevent escape evade
    allow permit let enable
    forbid ban prohibit disallow
    try attempt seek aim strive
    happen occur take arise
    cause lead trigger prompt result produce induce
    win beat defeat triumph prevail overcome
    lose fail
    play perform act
    live reside dwell inhabit
    die perish pass decease
    go travel move head journey
    come arrive reach
    leave depart exit
    stay remain
    locate situate place base position
    base rely depend rest
    own possess have hold
    save conserve
    pay cost spend charge price
    earn make
    register enroll subscribe sign join
    attend visit
    watch view see
    write author compose pen
    publish release issue print
    direct lead manage head run oversee supervise
    name call title entitle term dub know
    big large huge great vast enormous massive substantial considerable significant extensive broad wide
    small little tiny minor compact
    many numerous several various multiple diverse different range variety array selection
    few several some
    more additional extra further added another
    main major key primary chief principal important leading central core
    important significant crucial vital essential critical necessary
    new novel fresh recent modern innovative
    old ancient former aged
    full complete comprehensive entire whole total all-inclusive thorough exhaustive
    good great excellent fine superior premium top quality
    best ideal perfect optimal
    bad poor awful
    easy simple straightforward effortless uncomplicated
    hard difficult tough challenging complex
    fast quick rapid swift prompt speedy
    cheap inexpensive affordable economical competitive low-cost
    expensive costly pricey dear high
    free complimentary gratis
    possible potential prospective likely
    certain particular specific
    special unique exclusive particular distinct distinctive
    usual common typical normal regular standard
    right correct accurate exact precise
    wrong incorrect false mistaken
    clear evident obvious apparent plain
    famous known renowned popular noted
    current present existing
    similar alike comparable
    same identical equal
    whole entire total
    approximately about around roughly nearly almost circa
    because since due owing
    however but yet although though while whereas
    also additionally furthermore moreover too besides
    often frequently regularly commonly
    usually generally typically normally
    currently presently now today
    finally lastly eventually ultimately
    only just merely solely
    company firm business organization corporation enterprise
    customer client buyer consumer
    seller vendor dealer merchant supplier provider
    agent representative salesperson rep
    worker employee staff
    boss manager head leader chief
    person individual human someone man woman
    people individuals persons humans
    child kid
    friend colleague associate
    group team crew
    product item good article
    thing item object
    equipment gear apparatus
    tool instrument device
    service offering
    plan package policy scheme program
    feature characteristic attribute trait capability property function
    advantage benefit perk merit
    discount reduction rebate off
    price cost rate fee charge expense
    money cash fund funds
    need requirement necessity
    goal aim objective purpose target
    way method approach technique strategy manner means
    problem issue trouble difficulty challenge concern
    solution answer remedy
    result outcome finding conclusion consequence
    effect impact influence
    relation relationship link connection correlation association
    idea concept notion thought
    opinion view belief
    information detail details data facts
    example instance case sample
    part portion section component piece element
    kind type sort form category
    amount quantity number volume
    choice option alternative selection
    job work task occupation
    meeting conference session gathering
    talk conversation discussion dialogue
    study research investigation survey analysis
    test trial experiment
    area field domain region sector
    place location site spot
    city town
    country nation state
    world globe earth international global worldwide
    car automobile vehicle auto
    house home residence
    film movie picture
    book novel volume
    song track
    picture image photo photograph
    start beginning
    finish ending
    year annual yearly annually per
    month monthly
    week weekly
    day daily
    chance opportunity
    risk danger hazard
    speed pace rate
    mess clutter disarray
    help assistance support aid
    email mail message
    quote estimate
    catalog range inventory
    error mistake fault bug
    accuracy precision
    noise noisy
    sick ill
    doctor physician
    begin started began
    go went gone
    find found
    write wrote written
    speak spoke spoken
    hold held
    think thought
    say said
    tell told
    give gave given
    take took taken
    make made
    win won
    lose lost
    buy bought
    sell sold
    build built
    become became
    see saw seen
    know knew known
    lead led
    pay paid
    grow grew grown
    rise rose risen
    fall fell fallen
    begin begun
    choose chose chosen
    leave left
    send sent
    spend spent
    teach taught
    meet met
    run ran
    come came
    get got
    keep kept
    feel felt
    understand understood
"""

_ANTONYMS = """
    increase decrease; increase reduce; increase lower; raise lower; rise fall; rise drop; grow shrink;
    grow decline; improve worsen; improve hinder; boost hinder; boost reduce; boost lower; enhance reduce;
    enhance diminish; enhance impair; help hinder; support oppose; agree disagree; accept reject; accept refuse;
    approve reject; accept decline; allow forbid; allow prevent; allow prohibit; permit ban; include exclude;
    add remove; gain lose; win lose; win defeat; victory defeat; success failure; succeed fail; pass fail;
    begin end; start end; start stop; start finish; open close; arrive depart; arrive leave; enter leave;
    enter exit; come go; buy sell; purchase sell; lend borrow; give take; send receive; push pull; love hate;
    like dislike; know ignore; remember forget; find lose; create destroy; build destroy; attack defend;
    protect expose; protect harm; connect separate; join leave; unite divide; strengthen weaken; expand contract;
    extend shorten; lengthen shorten; encourage discourage; motivate demotivate; confirm deny; admit deny;
    prove disprove; trust doubt; argue doubt; encode decode; upload download; simplify complicate; save waste;
    save spend; maximize minimize; hire fire; before after; above below; over under; up down; inside outside;
    in out; early late; earlier later; first last; first second; with without; always never; all none;
    everything nothing; everyone nobody; many few; more less; more fewer; most least; most few; both neither;
    most some; min max; minimum maximum; high low; higher lower; highest lowest; big small; large small;
    larger smaller; largest smallest; long short; longer shorter; wide narrow; broad narrow; deep shallow;
    heavy light; strong weak; fast slow; quick slow; hot cold; warm cool; warm cold; wet dry; hard easy; hard soft;
    difficult easy; simple complex; simple complicated; new old; modern ancient; modern traditional; young old;
    rich poor; cheap expensive; affordable expensive; good bad; better worse; best worst; positive negative;
    true false; right wrong; correct wrong; safe dangerous; safe unsafe; public private; internal external;
    local global; local remote; domestic foreign; domestic international; national international; general specific;
    common rare; common unique; popular unknown; full empty; full partial; complete partial; comprehensive limited;
    comprehensive basic; extensive limited; total partial; whole part; single multiple; one several;
    individual group; manual automatic; manual autonomous; active passive; natural artificial; permanent temporary;
    male female; man woman; men women; boy girl; father mother; son daughter; brother sister; husband wife;
    king queen; he she; his her; actor actress; north south; east west; northern southern; eastern western;
    left right; front back; top bottom; day night; morning evening; summer winter; home away; home visitor;
    host guest; hot cool; minor major; primary secondary; senior junior; teacher student; doctor patient;
    employer employee; manager worker; buyer seller; client agent; customer supplier; parent child;
    advantage disadvantage; benefit drawback; benefit harm; benefit risk; profit loss; income expense;
    supply demand; cause effect; problem solution; question answer; import export; majority minority; peace war;
    friend enemy; friend competitor; ally enemy; collaboration competition; cooperation competition;
    presence absence; present absent; upper lower; visual auditory; flexible rigid; flexible fixed; quiet noisy;
    quiet loud; clean dirty; bright dark; thick thin; tight loose; optional mandatory; optional required;
    voluntary mandatory; free paid; short-term long-term; online offline; indoor outdoor; indoors outdoors;
    legal illegal; guilty innocent; happy sad; optimistic pessimistic; liberal conservative; vertical horizontal;
    maximum least; entire half; double half; daily weekly; weekly monthly; monthly yearly; annual monthly;
    annual weekly; always sometimes; often rarely; frequently rarely; usually rarely; usually seldom; can cannot;
    will won't; exact approximate; same different; similar different; equal unequal; even odd; known unknown;
    certain uncertain; possible impossible; able unable; likely unlikely; necessary unnecessary; direct indirect;
    dependent independent; regular irregular; complete incomplete; efficient inefficient; appear disappear;
    continue stop; continue discontinue; survive die; birth death; born died; married divorced; promoted demoted;
    elected defeated; appointed dismissed; import ship; credit debit; deposit withdraw
"""

_NEGATIONS = """
    not no never none neither nor cannot can't don't doesn't didn't isn't aren't wasn't weren't won't wouldn't
    couldn't shouldn't hasn't haven't hadn't without lack lacks lacking fail fails failed unable except excluding
    excluded nothing nobody hardly rarely seldom refuse refuses refused deny denies denied ain't cant dont
"""
NEGATIONS = frozenset(_NEGATIONS.split())
"""Words that deny what follows them."""

_LIMITS = """
    only solely exclusively always never all every entirely completely must none everyone everything nobody nothing
    guaranteed definitely certainly absolutely any
"""
LIMITS = frozenset(_LIMITS.split())
"""Words that make a claim total or exclusive."""

_ADVERSE = """
    limited partial incomplete inadequate insufficient mediocre poor bad worse worst wrong false incorrect
    inaccurate misleading useless worthless harmful hinder impair weaken worsen cheap expensive slow difficult
    complicated boring refuse refused reject rejected fail failed ignore ignored forget forgot doubt doubted despite
    although unlike instead nor barely few little less least worsen lost lose demotivate discourage prevent
    prevented stop stopped oppose opposed absence lack lacking scarce banned forbidden illegal impossible unlikely
    unclear unpopular unfortunately
"""
ADVERSE = frozenset(_ADVERSE.split())
"""Words that turn a favourable claim."""

_FILLERS = """
    yes yeah yep yup no nope oh ah well sure true think know guess really actually okay ok right course indeed sorry
    thanks thank please hi hello hey haha lol wow glad believe agree sounds definitely absolutely certainly exactly
"""
FILLERS = frozenset(_FILLERS.split())
"""Words that keep a talk going and claim nothing."""

_SELF = """
    i i'm i've i'd i'll my me mine myself we we're we've our us love hate wish hope favorite favourite
"""
SELF = frozenset(_SELF.split())
"""Words by which the speaker speaks of himself."""

PREFIXES = ("un", "in", "im", "dis", "non", "ir", "il", "mis")
"""Of words that deny the word without them."""


def synonym_groups() -> Iterable[list[str]]:
    """Words that may stand for each other, a list each."""
    return (line.split() for line in _SYNONYMS.strip().splitlines())


def antonym_pairs() -> Iterable[list[str]]:
    """Words of which one denies the other."""
    pairs = (pair.split() for line in _ANTONYMS.strip().splitlines() for pair in line.split(";"))
    return (pair for pair in pairs if pair)


CONSTANTS = (_SYNONYMS.split("\n"), _ANTONYMS.split(), NEGATIONS, LIMITS, ADVERSE, FILLERS, SELF, PREFIXES)
"""All words, for the content hash."""
