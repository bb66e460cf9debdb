"""What is asked of the two emoji trees, and what would be right: written down before any answer was seen.

Every concept belongs to one half, by its name: queries of the one choose, those of the other are asked once,
by the last run. A paraphrase names its concept in other words, and whatever else a person would take for it.
The kinds are Unicode's subgroups of emoji. Of `NOTHING` there is no model in either tree: things that emoji
show, of which no model was made, and what no picture shows."""

from __future__ import annotations

from zlib import crc32

CHOOSING, ASKED = 0, 1
NEAR = 22
"""So many of `NOTHING`, the first, are things that emoji show."""


def half(concept: str) -> int:
    """Which half a concept belongs to."""
    return crc32(concept.encode()) % 2


PARAPHRASES: tuple[dict[str, tuple[str, ...]], ...] = (
    {
        "a cold pint of lager": ("beer mug", "clinking beer mugs"),
        "a push bike": ("bicycle",),
        "a muffin with icing": ("cupcake",),
        "a courier's van": ("delivery truck",),
        "a pigeon with an olive branch": ("dove of peace",),
        "our planet seen from space": ("earth globe",),
        "a lamp bulb": ("electric light bulb",),
        "a visitor from outer space": ("extraterrestrial alien", "alien monster"),
        "swordsman with a foil": ("fencer",),
        "rolling dice": ("game die",),
        "a billy goat": ("goat",),
        "egg timer with sand": ("hourglass with flowing sand", "hourglass"),
        "someone sobbing": ("loudly crying face", "crying face"),
        "a loupe": ("magnifying glass",),
        "looking glass": ("mirror",),
        "a note in a melody": ("musical note", "multiple musical notes"),
        "compact disc": ("optical disc", "dvd", "minidisc"),
        "groundnuts": ("peanuts",),
        "mountaineer": ("person climbing",),
        "woman expecting a baby": ("pregnant person", "pregnant woman"),
        "laughing out loud": ("rolling on the floor laughing",),
        "flake of snow": ("snowflake",),
        "what a doctor listens to the heart with": ("stethoscope",),
        "raw fish on rice": ("sushi",),
        "lavatory": ("toilet", "water closet", "restroom"),
        "VHS tape": ("videocassette",),
        "wristwatch": ("watch",),
        "a gift in wrapping paper": ("wrapped present",),
        "african horse with stripes": ("zebra face",),
        "recycle bin": ("universal recycling", "wastebasket"),
        "emergency medical vehicle": ("ambulance",),
        "newborn": ("baby",),
        "kitty": ("cat face", "cat"),
        "a vixen": ("fox face",),
        "arachnid": ("spider", "scorpion"),
        "streetcar": ("tram", "tram car"),
        "eggplant": ("aubergine",),
        "a monarch's headgear": ("crown",),
        "potato fries": ("french fries",),
        "bunny": ("rabbit face", "rabbit"),
        "circus jester": ("clown face",),
        "santa claus": ("father christmas",),
        "shears": ("scissors",),
        "highway": ("motorway",),
        "large animal with a trunk": ("elephant", "mammoth"),
    },
    {
        "a puppy": ("dog", "guide dog", "poodle"),
        "a squeezebox": ("accordion",),
        "counting frame with beads": ("abacus",),
        "plane taking off": ("airplane departure",),
        "iron hook that holds a ship": ("anchor",),
        "gridiron ball": ("american football",),
        "chime of a church tower": ("bell",),
        "something to read": ("book", "books", "open book", "closed book"),
        "archer's weapon": ("bow and arrow",),
        "woman in a wedding dress": ("bride with veil",),
        "pool table": ("billiards",),
        "genetic code": ("dna double helix",),
        "electronic message": ("e-mail",),
        "firefighters' truck": ("fire engine",),
        "an angler's rod": ("fishing pole and fish",),
        "cutlery": ("fork and knife", "fork and knife with plate", "spoon"),
        "spooky spirit": ("ghost",),
        "protective eyewear": ("goggles",),
        "chilli": ("hot pepper",),
        "little devil": ("imp", "smiling face with horns"),
        "traditional japanese robe": ("kimono",),
        "crustacean with claws": ("lobster", "crab"),
        "a sorcerer's stick": ("magic wand",),
        "mermaid": ("merperson",),
        "a ginger ape": ("orangutan",),
        "nocturnal bird of prey": ("owl",),
        "a tablet of medicine": ("pill",),
        "male sheep": ("ram",),
        "pirate flag": ("skull and crossbones",),
        "toboggan": ("sled",),
        "jewish house of prayer": ("synagogue",),
        "short-sleeved cotton top": ("t-shirt",),
        "a wriggling earth creature": ("worm",),
        "jetliner": ("airplane", "airplane departure", "airplane arriving"),
        "great white": ("shark",),
        "football arena": ("stadium",),
        "donut with glaze": ("doughnut",),
        "sausage in a bun": ("hot dog",),
        "a rodent of the sewers": ("rat",),
        "vespa": ("motor scooter",),
        "the animal that vampires turn into": ("bat",),
        "a bloodsucking insect": ("mosquito",),
        "the tube in london": ("metro",),
        "pepperoni pie": ("slice of pizza",),
        "sea creature with eight arms": ("octopus",),
        "corn on the cob": ("ear of maize",),
        "ladybug": ("lady beetle",),
    },
)

KINDS: tuple[dict[str, tuple[str, ...]], ...] = (
    {
        "a fruit": (
            "tomato", "grapes", "melon", "watermelon", "tangerine", "lemon", "banana", "pineapple", "apple",
            "pear", "peach", "cherries", "strawberry", "kiwifruit", "coconut", "mango", "olive",
        ),
        "an insect": (
            "snail", "bug", "ant", "honeybee", "lady beetle", "spider", "spider web", "scorpion", "butterfly",
            "cricket", "mosquito", "fly", "worm", "beetle",
        ),
        "a drink": (
            "hot beverage", "teacup without handle", "sake bottle and cup", "wine glass", "cocktail glass",
            "tropical drink", "beer mug", "clinking beer mugs", "baby bottle", "bottle with popping cork",
            "clinking glasses", "tumbler glass", "glass of milk", "cup with straw", "beverage box",
            "mate drink", "bubble tea", "teapot", "pouring liquid",
        ),
        "a heart": (
            "heart exclamation mark", "love letter", "beating heart", "broken heart", "two hearts",
            "sparkling heart", "heart with arrow", "heart with ribbon", "revolving hearts",
            "heart decoration",
        ),
        "a sea animal": (
            "octopus", "spiral shell", "fish", "tropical fish", "blowfish", "dolphin", "spouting whale",
            "shark", "seal", "coral",
        ),
        "a clock": (
            "watch", "hourglass", "alarm clock", "stopwatch", "timer clock", "hourglass with flowing sand",
            "clock face", "mantelpiece clock",
        ),
        "money": (
            "money bag", "credit card", "banknote with yen", "banknote with dollar", "banknote with euro",
            "money with wings", "chart with upwards trend and yen", "receipt",
        ),
    },
    {
        "a vegetable": (
            "chestnut", "hot pepper", "ear of maize", "aubergine", "avocado", "potato", "carrot", "peanuts",
            "broccoli", "leafy green", "garlic", "onion", "bell pepper",
        ),
        "a bird": (
            "rooster", "chicken", "hatching chick", "baby chick", "bird", "dove of peace", "turkey", "eagle",
            "duck", "owl", "peacock", "parrot", "swan", "dodo", "flamingo", "feather",
        ),
        "a flower": (
            "tulip", "cherry blossom", "rose", "hibiscus", "sunflower", "blossom", "rosette", "bouquet",
            "white flower", "wilted flower", "lotus",
        ),
        "a musical instrument": (
            "guitar", "musical keyboard", "trumpet", "violin", "drum with drumsticks", "banjo", "accordion",
        ),
        "something sweet to eat": (
            "soft ice cream", "ice cream", "doughnut", "cookie", "chocolate bar", "candy", "lollipop",
            "custard", "honey pot", "birthday cake", "pie", "cupcake",
        ),
        "a reptile": ("dragon", "crocodile", "snake", "dragon face", "lizard", "sauropod", "t-rex"),
        "a boat": (
            "anchor", "ferry", "ship", "speedboat", "ring buoy", "motor boat", "passenger ship", "canoe",
        ),
        "a zodiac sign": (
            "aries", "taurus", "gemini", "cancer", "leo", "virgo", "libra", "capricorn", "aquarius", "pisces",
        ),
    },
)  # fmt: skip

NOTHING: tuple[tuple[str, ...], ...] = (
    (
        "scorpius", "crossed swords", "shaved ice", "artist palette", "saxophone", "hospital", "turtle",
        "electric torch", "shopping trolley", "flying saucer", "cucumber", "hedgehog", "ice cube", "brain",
        "safety pin", "yo-yo", "pinata", "carpentry saw", "blueberries", "beans", "moon cake",
        "construction worker",
        "sentiment of tweets", "legal contracts", "chest x-rays", "protein structures", "speech in swahili",
        "python source code", "satellite images of floods", "fraudulent transactions", "handwritten digits",
        "questions about medicine", "prices of stocks", "spam filter", "translation from french to german",
        "named entities in the news", "a language model for poems", "asdf qwer zxcv", "the year 1987",
        "quantum chemistry", "voice of a radio host", "emotions in phone calls",
    ),
    (
        "sagittarius", "sailboat", "shortcake", "performing arts", "trophy", "penguin",
        "lower left paintbrush",
        "playground slide", "handshake", "bagel", "tooth", "elf", "ball of yarn", "x-ray", "kite", "coin",
        "cockroach", "tamale", "couch and lamp", "desktop computer", "fortune cookie", "basketball and hoop",
        "toxic comments", "court rulings", "brain tumours in mri scans", "gene expression", "birdsong",
        "sql queries from questions", "crop yields", "credit scoring", "street view house numbers",
        "summaries of scientific papers", "weather forecasts", "fake reviews", "subtitles of films",
        "parts of speech in latin", "reinforcement learning for robots", "lorem ipsum dolor", "article 13",
        "fluid dynamics", "accents of english", "depth from a single camera",
    ),
)  # fmt: skip
