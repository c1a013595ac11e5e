//! The icons: glyphs of the subset of Phosphor in `assets/fonts`.

/// Arrow clockwise.
pub const ARROW_CLOCKWISE: char = '\u{e036}';
/// Arrow left.
pub const ARROW_LEFT: char = '\u{e058}';
/// Arrow right.
pub const ARROW_RIGHT: char = '\u{e06c}';
/// Arrow u up left.
pub const ARROW_U_UP_LEFT: char = '\u{e08a}';
/// Arrow u up right.
pub const ARROW_U_UP_RIGHT: char = '\u{e08c}';
/// Bank.
pub const BANK: char = '\u{e0b4}';
/// Bell simple.
pub const BELL_SIMPLE: char = '\u{e0d0}';
/// Bird.
pub const BIRD: char = '\u{e72c}';
/// Book open.
pub const BOOK_OPEN: char = '\u{e0e6}';
/// Calendar blank.
pub const CALENDAR_BLANK: char = '\u{e10a}';
/// Caret down.
pub const CARET_DOWN: char = '\u{e136}';
/// Caret right.
pub const CARET_RIGHT: char = '\u{e13a}';
/// Chart bar.
pub const CHART_BAR: char = '\u{e150}';
/// Chart line up.
pub const CHART_LINE_UP: char = '\u{e156}';
/// Check.
pub const CHECK: char = '\u{e182}';
/// Check circle.
pub const CHECK_CIRCLE: char = '\u{e184}';
/// Circle.
pub const CIRCLE: char = '\u{e18a}';
/// Circle dashed.
pub const CIRCLE_DASHED: char = '\u{e602}';
/// Clock counter clockwise.
pub const CLOCK_COUNTER_CLOCKWISE: char = '\u{e1a0}';
/// Coins.
pub const COINS: char = '\u{e78e}';
/// Command.
pub const COMMAND: char = '\u{e1c4}';
/// Copy.
pub const COPY: char = '\u{e1ca}';
/// Cpu.
pub const CPU: char = '\u{e610}';
/// Dots three.
pub const DOTS_THREE: char = '\u{e1fe}';
/// Download simple.
pub const DOWNLOAD_SIMPLE: char = '\u{e20c}';
/// Export.
pub const EXPORT: char = '\u{eaf0}';
/// Eye slash.
pub const EYE_SLASH: char = '\u{e224}';
/// File.
pub const FILE: char = '\u{e230}';
/// File csv.
pub const FILE_CSV: char = '\u{eb1c}';
/// Flask.
pub const FLASK: char = '\u{e79e}';
/// Floppy disk.
pub const FLOPPY_DISK: char = '\u{e248}';
/// Folder open.
pub const FOLDER_OPEN: char = '\u{e256}';
/// Gauge.
pub const GAUGE: char = '\u{e628}';
/// Graphics card.
pub const GRAPHICS_CARD: char = '\u{e612}';
/// Hash.
pub const HASH: char = '\u{e2a2}';
/// Heartbeat.
pub const HEARTBEAT: char = '\u{e2ac}';
/// Hourglass.
pub const HOURGLASS: char = '\u{e2b2}';
/// House.
pub const HOUSE: char = '\u{e2c2}';
/// Image.
pub const IMAGE: char = '\u{e2ca}';
/// Info.
pub const INFO: char = '\u{e2ce}';
/// Lightning.
pub const LIGHTNING: char = '\u{e2de}';
/// List.
pub const LIST: char = '\u{e2f0}';
/// List checks.
pub const LIST_CHECKS: char = '\u{eadc}';
/// Magnifying glass.
pub const MAGNIFYING_GLASS: char = '\u{e30c}';
/// Magnifying glass minus.
pub const MAGNIFYING_GLASS_MINUS: char = '\u{e30e}';
/// Magnifying glass plus.
pub const MAGNIFYING_GLASS_PLUS: char = '\u{e310}';
/// Minus.
pub const MINUS: char = '\u{e32a}';
/// Monitor.
pub const MONITOR: char = '\u{e32e}';
/// Moon.
pub const MOON: char = '\u{e330}';
/// Note pencil.
pub const NOTE_PENCIL: char = '\u{e34c}';
/// Package.
pub const PACKAGE: char = '\u{e390}';
/// Pause.
pub const PAUSE: char = '\u{e39e}';
/// Pencil simple.
pub const PENCIL_SIMPLE: char = '\u{e3b4}';
/// Play.
pub const PLAY: char = '\u{e3d0}';
/// Plus.
pub const PLUS: char = '\u{e3d4}';
/// Question.
pub const QUESTION: char = '\u{e3e8}';
/// Scales.
pub const SCALES: char = '\u{e750}';
/// Shield check.
pub const SHIELD_CHECK: char = '\u{e40c}';
/// Sliders horizontal.
pub const SLIDERS_HORIZONTAL: char = '\u{e434}';
/// Sparkle.
pub const SPARKLE: char = '\u{e6a2}';
/// Spinner gap.
pub const SPINNER_GAP: char = '\u{e66c}';
/// Star.
pub const STAR: char = '\u{e46a}';
/// Stop.
pub const STOP: char = '\u{e46c}';
/// Sun.
pub const SUN: char = '\u{e472}';
/// Table.
pub const TABLE: char = '\u{e476}';
/// Tag.
pub const TAG: char = '\u{e478}';
/// Target.
pub const TARGET: char = '\u{e47c}';
/// Text aa.
pub const TEXT_AA: char = '\u{e6ee}';
/// Toggle left.
pub const TOGGLE_LEFT: char = '\u{e674}';
/// Translate.
pub const TRANSLATE: char = '\u{e4a2}';
/// Trash.
pub const TRASH: char = '\u{e4a6}';
/// Trophy.
pub const TROPHY: char = '\u{e67e}';
/// T shirt.
pub const T_SHIRT: char = '\u{e670}';
/// Users three.
pub const USERS_THREE: char = '\u{e68e}';
/// Warning.
pub const WARNING: char = '\u{e4e0}';
/// Warning circle.
pub const WARNING_CIRCLE: char = '\u{e4e2}';
/// X.
pub const X: char = '\u{e4f6}';
/// X circle.
pub const X_CIRCLE: char = '\u{e4f8}';

/// All icons; the subset font holds exactly these.
pub const ALL: &[char] = &[
    ARROW_CLOCKWISE,
    ARROW_LEFT,
    ARROW_RIGHT,
    ARROW_U_UP_LEFT,
    ARROW_U_UP_RIGHT,
    BANK,
    BELL_SIMPLE,
    BIRD,
    BOOK_OPEN,
    CALENDAR_BLANK,
    CARET_DOWN,
    CARET_RIGHT,
    CHART_BAR,
    CHART_LINE_UP,
    CHECK,
    CHECK_CIRCLE,
    CIRCLE,
    CIRCLE_DASHED,
    CLOCK_COUNTER_CLOCKWISE,
    COINS,
    COMMAND,
    COPY,
    CPU,
    DOTS_THREE,
    DOWNLOAD_SIMPLE,
    EXPORT,
    EYE_SLASH,
    FILE,
    FILE_CSV,
    FLASK,
    FLOPPY_DISK,
    FOLDER_OPEN,
    GAUGE,
    GRAPHICS_CARD,
    HASH,
    HEARTBEAT,
    HOURGLASS,
    HOUSE,
    IMAGE,
    INFO,
    LIGHTNING,
    LIST,
    LIST_CHECKS,
    MAGNIFYING_GLASS,
    MAGNIFYING_GLASS_MINUS,
    MAGNIFYING_GLASS_PLUS,
    MINUS,
    MONITOR,
    MOON,
    NOTE_PENCIL,
    PACKAGE,
    PAUSE,
    PENCIL_SIMPLE,
    PLAY,
    PLUS,
    QUESTION,
    SCALES,
    SHIELD_CHECK,
    SLIDERS_HORIZONTAL,
    SPARKLE,
    SPINNER_GAP,
    STAR,
    STOP,
    SUN,
    TABLE,
    TAG,
    TARGET,
    TEXT_AA,
    TOGGLE_LEFT,
    TRANSLATE,
    TRASH,
    TROPHY,
    T_SHIRT,
    USERS_THREE,
    WARNING,
    WARNING_CIRCLE,
    X,
    X_CIRCLE,
];
