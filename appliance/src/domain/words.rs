//! Words that can be read aloud: what stands for bits that two people compare or one hands to another.
//!
//! 2048 short English words, collected for this list: each distinct, none that sounds like another of the list as far as
//! was noticed, none that hurts. The list is part of what people have seen and written down: never change or reorder it.

/// Eleven bits a word.
pub const BITS: usize = 11;

/// The first bits of a hash, or of chance, as words: bit by bit from the first byte's highest.
pub fn phrase<const N: usize>(bytes: &[u8; 32]) -> [&'static str; N] {
    const { assert!(N * BITS <= 256, "there are no more bits") };
    std::array::from_fn(|word| {
        let bit = |at: usize| usize::from(bytes[at / 8] >> (7 - at % 8) & 1);
        let index = (word * BITS..(word + 1) * BITS).fold(0, |index, at| index << 1 | bit(at));
        WORDS[index]
    })
}

/// The list, by alphabet.
#[rustfmt::skip]
pub static WORDS: [&str; 1 << BITS] = [
    "abacus", "abbey", "able", "acacia", "academy", "access", "acclaim", "account", "achieve", "acid", "acorn",
    "acre", "acrobat", "action", "active", "actor", "adage", "adapt", "adder", "adjust", "admiral", "admire", "adobe",
    "adopt", "adorn", "adult", "advance", "adverb", "advice", "aerial", "afar", "affable", "affirm", "after", "again",
    "agate", "agave", "agency", "agenda", "agile", "agree", "ahead", "aim", "air", "alarm", "album", "alcove",
    "alder", "alert", "algae", "alibi", "alive", "alley", "allow", "alloy", "almanac", "almond", "aloe", "aloft",
    "alpha", "alpine", "also", "alto", "always", "amaze", "amber", "amble", "amend", "amid", "ample", "amulet",
    "amuse", "anagram", "analog", "anatomy", "anchor", "anchovy", "anemone", "anew", "angle", "angler", "animal",
    "ankle", "annex", "annual", "answer", "ant", "antenna", "anthem", "antique", "antler", "anvil", "anyone", "apex",
    "apparel", "appeal", "applaud", "apple", "apply", "apricot", "april", "apron", "aqua", "arbor", "arcade",
    "arcane", "arch", "archer", "archive", "arctic", "arena", "argue", "aria", "arise", "armada", "aroma", "around",
    "array", "arrive", "arrow", "art", "article", "artisan", "artist", "ash", "aside", "ask", "aspect", "aspen",
    "asset", "assist", "aster", "astral", "athlete", "atlas", "atom", "atrium", "attend", "attic", "auburn",
    "auction", "audio", "august", "aunt", "author", "autumn", "avenue", "aviator", "avid", "avocado", "avocet",
    "avoid", "awake", "award", "aware", "awning", "axiom", "axis", "axle", "azure", "baby", "bacon", "badge",
    "badger", "bagel", "bake", "baker", "bakery", "balance", "balcony", "ballad", "ballet", "balloon", "balm",
    "bamboo", "banana", "band", "bandana", "banjo", "bank", "banner", "banquet", "bar", "barge", "barista", "bark",
    "barley", "barn", "barrel", "basalt", "base", "bashful", "basil", "basin", "basket", "bass", "bassoon", "bat",
    "batch", "bath", "baton", "bay", "bazaar", "beach", "beacon", "bead", "beak", "beam", "bean", "beard", "beaver",
    "become", "bed", "beehive", "beetle", "before", "begin", "begonia", "behave", "beige", "belfry", "bell", "belong",
    "below", "belt", "bench", "bend", "beret", "best", "beta", "better", "bevel", "beyond", "bicycle", "big",
    "bigger", "bike", "billow", "binder", "biology", "birch", "bird", "biscuit", "bison", "black", "blade", "blanket",
    "blaze", "blazer", "blend", "blimp", "blink", "block", "bloom", "blossom", "bluff", "boat", "bobbin", "bobcat",
    "bobsled", "body", "boil", "bold", "bolt", "bonfire", "bonnet", "bonus", "book", "boost", "boot", "border",
    "borrow", "botany", "both", "bottle", "bottom", "boulder", "bouquet", "bowl", "bowler", "box", "brace", "braid",
    "brain", "bramble", "branch", "brass", "brave", "breeze", "brick", "bridge", "brief", "bright", "bring",
    "brioche", "brisk", "broad", "broker", "bronco", "bronze", "brooch", "brook", "broom", "brother", "brown",
    "brunch", "brush", "bubble", "bucket", "buckle", "bud", "buffalo", "buggy", "bugle", "build", "bulb", "bumper",
    "bundle", "bunting", "burlap", "burrow", "bus", "bush", "busy", "butter", "button", "buzz", "bygone", "cabbage",
    "cabin", "cable", "caboose", "cactus", "cadence", "cadet", "cake", "calcium", "calf", "calico", "call", "calm",
    "calypso", "camel", "camera", "camp", "campus", "canal", "canary", "candle", "candy", "cannery", "canoe",
    "canopy", "canvas", "canyon", "cap", "cape", "capital", "capsule", "captain", "caption", "car", "caramba",
    "caramel", "caravan", "carbon", "card", "cargo", "caribou", "carol", "carpet", "carrot", "carry", "cart",
    "cartoon", "carve", "cascade", "case", "cash", "cashew", "castle", "cat", "catalog", "catch", "catnip", "cattle",
    "cave", "cavern", "cedar", "ceiling", "celery", "cello", "cement", "census", "centaur", "center", "ceramic",
    "certain", "chain", "chair", "chalet", "chalk", "chamber", "change", "channel", "chapter", "chariot", "charm",
    "chart", "chase", "chat", "chateau", "check", "cheddar", "cheek", "cheer", "cheese", "cheetah", "chef", "chemist",
    "cherry", "chess", "chest", "chick", "chicory", "chief", "child", "chill", "chime", "chimney", "chin", "chip",
    "chisel", "chive", "choice", "chorus", "chowder", "cinder", "cinema", "circle", "circuit", "circus", "citadel",
    "citizen", "citrus", "city", "civic", "claim", "clam", "clap", "clarify", "class", "clay", "clean", "clear",
    "clerk", "clever", "click", "cliff", "climb", "clinic", "clip", "cloak", "clock", "close", "cloth", "cloud",
    "clover", "club", "clue", "coach", "coal", "coast", "coaster", "coat", "cobalt", "cobble", "cobbler", "cobweb",
    "cocoa", "coconut", "code", "coffee", "coil", "coin", "collar", "colony", "colt", "column", "combine", "comet",
    "comfort", "comic", "comma", "common", "commute", "compass", "compile", "compose", "concept", "concert", "condor",
    "conduct", "cone", "conifer", "connect", "console", "cook", "cookie", "cool", "copilot", "copper", "copy",
    "coral", "cord", "core", "cork", "corn", "corner", "cornet", "corral", "cosmic", "cosmos", "cost", "cottage",
    "cotton", "couch", "cougar", "count", "country", "couple", "courier", "court", "cousin", "cover", "cow", "coyote",
    "cradle", "craft", "crane", "crate", "crater", "crayon", "cream", "create", "creek", "crest", "crew", "cricket",
    "crimson", "crisp", "crochet", "crocus", "crop", "croquet", "cross", "crow", "crowd", "crown", "cruise",
    "cruiser", "crumb", "crumpet", "crust", "crystal", "cub", "cube", "cuckoo", "culture", "cup", "cupcake",
    "curator", "curb", "curfew", "curious", "curl", "current", "curry", "cursor", "curtain", "curve", "cushion",
    "custom", "cutlery", "cyan", "cycle", "cyclone", "cypress", "dahlia", "dairy", "daisy", "dance", "dapper",
    "daring", "dash", "data", "date", "dawn", "day", "deal", "debate", "decade", "decide", "deck", "define", "degree",
    "delight", "deliver", "delta", "den", "denim", "dense", "dentist", "depart", "depend", "depth", "derby", "desert",
    "design", "desk", "detail", "detect", "develop", "dial", "diamond", "diary", "dice", "dig", "digit", "dim",
    "dine", "dinner", "diploma", "direct", "disc", "dish", "dive", "divide", "dock", "doctor", "dog", "doll",
    "dolphin", "domain", "dome", "domino", "donate", "donkey", "door", "dot", "double", "dough", "dove", "down",
    "dozen", "draft", "dragon", "drama", "draw", "drawer", "dream", "dress", "drift", "drill", "drink", "drive",
    "drop", "drum", "dry", "duck", "duet", "dune", "dusk", "dust", "duty", "each", "eager", "eagle", "ear", "early",
    "earn", "earth", "easel", "east", "easy", "eat", "echo", "eclipse", "edge", "edit", "effort", "egg", "eight",
    "elbow", "elder", "elegant", "element", "elk", "elm", "embark", "ember", "emblem", "emerald", "employ", "empty",
    "enable", "enamel", "end", "energy", "engine", "enjoy", "enough", "enter", "entry", "epic", "equal", "era",
    "errand", "escort", "essay", "estate", "evening", "event", "ever", "every", "exact", "example", "excite",
    "exhibit", "exit", "expand", "expert", "explain", "explore", "express", "extra", "fable", "fabric", "face",
    "fact", "factory", "faith", "falcon", "fall", "family", "famous", "fancy", "far", "farm", "farmer", "fashion",
    "fast", "father", "fawn", "feast", "feather", "feed", "fellow", "felt", "fence", "fennel", "fern", "ferry",
    "fest", "fiber", "fiction", "fiddle", "field", "fig", "figure", "file", "fill", "film", "filter", "final",
    "finch", "find", "fine", "finger", "finish", "fire", "firm", "first", "fish", "fit", "five", "fix", "fjord",
    "flag", "flame", "flannel", "flap", "flash", "flat", "flavor", "flax", "fleet", "flight", "flint", "flip",
    "float", "flock", "floor", "florist", "flow", "flute", "fly", "foal", "foam", "focus", "fog", "foil", "fold",
    "folk", "follow", "food", "foot", "forest", "forget", "fork", "form", "fort", "forum", "forward", "fossil",
    "found", "fox", "frame", "free", "freight", "fresh", "friend", "frog", "front", "frost", "fruit", "fudge", "fuel",
    "full", "fun", "fund", "funnel", "future", "gable", "gadget", "galaxy", "gallery", "gallon", "game", "gander",
    "garage", "garden", "garland", "garlic", "garment", "garnet", "gather", "gazelle", "gear", "gem", "general",
    "gentle", "geyser", "giant", "gift", "ginger", "giraffe", "give", "glacier", "glad", "glance", "glass", "glaze",
    "gleam", "glide", "globe", "glory", "glove", "glow", "glue", "goal", "goat", "gold", "golf", "gondola", "good",
    "goose", "gorge", "gourd", "grace", "grade", "grain", "grammar", "grand", "granite", "grape", "graph", "grass",
    "gravel", "gravy", "gray", "green", "greet", "grid", "grill", "grin", "grocer", "ground", "group", "grove",
    "grow", "guard", "guava", "guess", "guest", "guide", "guitar", "gulf", "gull", "gust", "gypsum", "habit", "hail",
    "half", "hallway", "halo", "halt", "hamlet", "hammer", "hammock", "hamper", "hand", "handle", "hangar", "happen",
    "happy", "harbor", "hard", "harmony", "harp", "harvest", "hat", "hatch", "haven", "hawk", "hay", "hazel", "head",
    "health", "heart", "heat", "heather", "hedge", "height", "helium", "hello", "helmet", "help", "hemlock", "herald",
    "herb", "hero", "heron", "hickory", "hike", "hill", "hinge", "history", "hobby", "hockey", "hold", "holiday",
    "hollow", "holly", "home", "honest", "honey", "hood", "hoof", "hook", "hoop", "hope", "horizon", "horn", "hose",
    "host", "hotel", "house", "hover", "huddle", "hug", "human", "humble", "hummus", "humor", "hundred", "hut",
    "hybrid", "hydrant", "ice", "icicle", "icing", "icon", "idea", "ideal", "igloo", "image", "imagine", "impact",
    "improve", "inch", "include", "index", "indigo", "indoor", "ink", "inland", "inlet", "inner", "input", "inside",
    "inspire", "intend", "invent", "invite", "iris", "iron", "island", "item", "ivory", "ivy", "jacket", "jade",
    "jaguar", "january", "jar", "jasmine", "jaunt", "jazz", "jelly", "jersey", "jewel", "jigsaw", "job", "jog",
    "join", "joint", "jolly", "journal", "journey", "joy", "judge", "juggle", "juice", "july", "jump", "june",
    "jungle", "junior", "juniper", "jury", "just", "kale", "kayak", "keel", "keen", "keep", "kelp", "kennel",
    "kernel", "kettle", "key", "kiln", "kilt", "kind", "kiosk", "kite", "kitten", "kiwi", "knee", "knob", "knock",
    "koala", "label", "lace", "ladder", "ladle", "lagoon", "lake", "lamb", "lamp", "land", "lane", "lapel", "larch",
    "large", "lark", "last", "latch", "later", "lather", "laugh", "launch", "laurel", "lava", "lawn", "layer", "leaf",
    "league", "lean", "leap", "learn", "lease", "leave", "ledge", "left", "legend", "lemon", "lend", "length", "lens",
    "lentil", "let", "letter", "level", "lever", "lichen", "lid", "lift", "light", "lilac", "lily", "limb", "lime",
    "limit", "line", "linen", "link", "lion", "lip", "liquid", "list", "listen", "litter", "little", "live", "lizard",
    "llama", "loaf", "lobby", "local", "locker", "locket", "lodge", "loft", "log", "logic", "long", "look", "loom",
    "loop", "lotus", "loud", "lounge", "love", "lower", "loyal", "lucky", "lumber", "lunar", "lunch", "lupine",
    "lyric", "magic", "magnet", "magpie", "major", "make", "mallet", "manage", "mango", "manor", "many", "map",
    "maple", "marble", "march", "margin", "marina", "mark", "market", "marmot", "marsh", "mask", "mason", "mast",
    "master", "match", "matrix", "matter", "may", "mayor", "meadow", "meal", "mean", "media", "medley", "mellow",
    "melody", "melon", "member", "memo", "memory", "mentor", "menu", "mercy", "merry", "mesa", "meteor", "meter",
    "method", "metro", "middle", "mild", "mile", "milk", "mill", "mimic", "mind", "mint", "minute", "mirror", "mist",
    "mitten", "mix", "mobile", "model", "modern", "modest", "module", "moment", "monday", "money", "month", "moon",
    "moose", "moped", "mosaic", "moss", "motel", "moth", "mother", "motion", "motor", "mount", "mouse", "mouth",
    "move", "movie", "much", "muffin", "mug", "mule", "museum", "music", "mutual", "myrtle", "nail", "name", "napkin",
    "narrow", "nation", "native", "nature", "navy", "near", "neat", "neck", "nectar", "needle", "nephew", "nest",
    "net", "never", "new", "news", "next", "nibble", "nice", "nickel", "niece", "nimble", "nine", "node", "noise",
    "noodle", "noon", "north", "nose", "note", "notice", "novel", "number", "nurse", "nut", "nutmeg", "nylon", "oak",
    "oasis", "oat", "object", "oblong", "oboe", "ocean", "octave", "offer", "office", "often", "oil", "olive",
    "omega", "omelet", "once", "onion", "online", "only", "onset", "onyx", "opal", "open", "opera", "optic", "option",
    "orange", "orbit", "orchid", "order", "organ", "origin", "osprey", "other", "otter", "ounce", "outer", "outfit",
    "outlet", "output", "oval", "oven", "over", "owl", "own", "owner", "oxygen", "oyster", "pace", "pack", "paddle",
    "page", "paint", "palace", "palm", "pan", "panda", "panel", "pantry", "papaya", "paper", "parade", "park",
    "parka", "parrot", "part", "party", "pass", "pasta", "pastel", "pastry", "patch", "path", "patio", "patrol",
    "pave", "paw", "peach", "peanut", "pearl", "pebble", "pecan", "pen", "pencil", "people", "pepper", "perch",
    "period", "permit", "person", "petal", "phone", "photo", "phrase", "piano", "pick", "pickle", "picnic", "pigeon",
    "pile", "pillow", "pilot", "pine", "pink", "pint", "pipe", "pitch", "pivot", "pizza", "place", "plan", "planet",
    "plank", "plant", "plate", "play", "plaza", "please", "plenty", "plot", "plow", "plum", "plume", "plus", "pocket",
    "podium", "poem", "poet", "point", "polar", "polish", "polite", "polka", "pollen", "polo", "pond", "pony", "pool",
    "poplar", "poppy", "porch", "port", "portal", "post", "potato", "powder", "power", "press", "pretty", "price",
    "print", "prism", "prize", "proof", "proper", "proud", "prune", "public", "pueblo", "puffin", "pull", "pulley",
    "pulp", "pulse", "pump", "pupil", "puppet", "puppy", "pure", "purple", "push", "puzzle", "quail", "quarry",
    "quart", "quartz", "quest", "quick", "quiet", "quill", "quilt", "quince", "quiz", "quota", "quote", "rabbit",
    "race", "rack", "radar", "radio", "radish", "raft", "rail", "raisin", "rally", "ramp", "ranch", "random", "range",
    "ranger", "rapid", "rare", "rate", "raven", "ravine", "ray", "reach", "ready", "reason", "recall", "recipe",
    "record", "reed", "reef", "refill", "region", "relax", "relay", "relief", "remain", "remark", "remind", "remote",
    "rent", "repair", "repeat", "reply", "report", "rescue", "result", "return", "reveal", "review", "reward",
    "rhyme", "rhythm", "ribbon", "rice", "rich", "ride", "ridge", "ripple", "rise", "river", "roast", "robe", "robin",
    "robot", "rock", "rocket", "rodeo", "roof", "room", "rope", "roster", "rotate", "round", "rover", "row", "rubber",
    "ruby", "rudder", "rug", "ruler", "rumba", "run", "runway", "rural", "rush", "rust", "rustic", "sable", "saddle",
    "safari", "safe", "saga", "sage", "sailor", "salad", "salmon", "salon", "salt", "salute", "same", "sample",
    "sand", "sandal", "satin", "saturn", "sauna", "save", "savor", "saw", "scale", "scarf", "scenic", "school",
    "scone", "scoop", "score", "scout", "screen", "script", "scroll", "seal", "season", "seat", "second", "secret",
    "seed", "seek", "select", "sense", "sensor", "sequel", "series", "serve", "sesame", "set", "settle", "seven",
    "shade", "shadow", "shape", "share", "sharp", "shawl", "shed", "sheep", "sheet", "shelf", "shell", "shield",
    "shift", "shine", "ship", "shirt", "shoe", "shop", "shore", "short", "show", "shower", "shrimp", "shrub", "shut",
    "side", "sierra", "sign", "signal", "silent", "silk", "silver", "simple", "since", "sing", "single", "sister",
    "six", "size", "skate", "sketch", "ski", "skill", "sky", "slate", "sled", "sleep", "sleeve", "slice", "slide",
    "slope", "small", "smart", "smile", "smooth", "snack", "snail", "snow", "soap", "soccer", "social", "sock",
    "soda", "sofa", "soft", "soil", "solar", "solid", "solo", "solve", "sonar", "song", "sonnet", "soon", "sorbet",
    "sorrel", "sound", "soup", "source", "south", "soy", "space", "spark", "speak", "speed", "spell", "sphere",
    "spice", "spider", "spin", "spiral", "splash", "sponge", "spool", "spoon", "sport", "spot", "spray", "spread",
    "spring", "sprout", "spruce", "square", "squash", "squid", "stable", "stack", "staff", "stage", "stamp", "stand",
    "staple", "star", "start", "state", "statue", "stay", "steady", "steam", "stem", "step", "stereo", "stick",
    "still", "stitch", "stock", "stone", "stool", "stop", "store", "stork", "story", "stove", "strand", "straw",
    "stream", "street", "string", "strip", "strong", "studio", "study", "submit", "subway", "such", "sudden", "sugar",
    "suit", "summer", "summit", "sunny", "sunset", "super", "supper", "supply", "sure", "surf", "swamp", "swan",
    "sweep", "swift", "swim", "swing", "switch", "syrup", "system", "table", "tablet", "tack", "taffy", "tailor",
    "take", "talent", "talk", "tall", "tan", "tangle", "tango", "tape", "target", "tart", "task", "taste", "taxi",
    "teach", "teapot", "tempo", "ten", "tender", "tennis", "tenor", "tent", "term", "test", "text", "thank", "theme",
    "theory", "thick", "thing", "think", "third", "thread", "three", "thrive", "thumb", "ticket", "tidy", "tiger",
    "tile", "timber", "timer", "timid", "tin", "tinsel", "tiny", "tip", "title", "toast", "today", "toffee", "token",
    "tomato", "tone", "tongue", "tool", "tooth", "top", "topaz", "topic", "torch", "total", "touch", "tour", "towel",
    "tower", "town", "toy", "track", "trade", "trail", "train", "tram", "travel", "tray", "treat", "treaty", "tree",
    "trend", "trick", "trio", "trip", "trophy", "tropic", "trout", "truck", "true", "trunk", "trust", "truth", "try",
    "tub", "tuba", "tube", "tulip", "tumble", "tuna", "tundra", "tune", "tunic", "tunnel", "turkey", "turnip",
    "turtle", "tutor", "tuxedo", "tweed", "twelve", "twenty", "twig", "twin", "twist", "type", "uncle", "under",
    "unfold", "union", "unique", "unit", "unity", "until", "update", "uphill", "upper", "upward", "urban", "urn",
    "use", "useful", "usual", "vacant", "valid", "valley", "value", "valve", "van", "vapor", "vase", "vast", "vault",
    "vector", "velvet", "vendor", "venue", "verb", "verse", "very", "vessel", "vest", "video", "view", "vine",
    "vinyl", "viola", "violet", "violin", "virtue", "visa", "visit", "visual", "vital", "vivid", "vocal", "voice",
    "volley", "volume", "vote", "vowel", "voyage", "wafer", "wagon", "walk", "wall", "walnut", "walrus", "waltz",
    "wander", "warm", "wash", "watch", "water", "wax", "weave", "web", "wedge", "well", "west", "whale", "wharf",
    "wheat", "when", "whimsy", "whisk", "white", "wicker", "wide", "widget", "width", "wild", "willow", "win", "wind",
    "window", "wing", "winner", "winter", "wire", "wisdom", "wise", "wish", "wolf", "wombat", "wonder", "wool",
    "word", "work", "world", "worthy", "wren", "wrist", "yacht", "yam", "yard", "yarn", "yawn", "year", "yeast",
    "yellow", "yes", "yield", "yodel", "yoga", "yogurt", "young", "youth", "yucca", "zebra", "zenith", "zephyr",
    "zero", "zest", "zigzag", "zinc", "zinnia", "zipper", "zither", "zodiac", "zone", "zoo", "zoom",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_short_distinct_and_in_order() {
        assert!(WORDS.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(WORDS.iter().all(|word| (3..=8).contains(&word.len())));
        assert!(WORDS.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())));
    }

    #[test]
    fn each_bit_of_the_first_forty_four_changes_a_word_and_no_later_one_does() {
        let none = phrase::<4>(&[0; 32]);
        assert_eq!(none, [WORDS[0]; 4]);
        assert_eq!(phrase::<4>(&[0xff; 32]), [WORDS[2047]; 4]);
        for bit in 0..64 {
            let mut bytes = [0; 32];
            bytes[bit / 8] = 0x80 >> (bit % 8);
            let changed: Vec<usize> = (0..4).filter(|word| phrase::<4>(&bytes)[*word] != none[*word]).collect();
            let expected: Vec<usize> = (bit < 44).then_some(bit / BITS).into_iter().collect();
            assert_eq!(changed, expected, "bit {bit}");
        }
    }
}
