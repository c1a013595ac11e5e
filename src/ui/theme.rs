//! Every design token: colours, spacing, radii, text styles; nothing else in `ui` names a colour
//! or a size of its own.

use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, FontTweak,
    Margin, Shadow, Stroke, Style, TextStyle, Theme, Ui, Vec2, Visuals,
};

/// Distances, in points.
pub mod space {
    /// Between parts of one thing.
    pub const XS: f32 = 4.0;
    /// Between things that belong together.
    pub const S: f32 = 8.0;
    /// Between controls.
    pub const M: f32 = 12.0;
    /// Inside cards, between cards.
    pub const L: f32 = 16.0;
    /// Around a page, between sections.
    pub const XL: f32 = 24.0;
    /// Before a new chapter.
    pub const XXL: f32 = 40.0;
}

/// Sizes of fixed parts, in points.
pub mod size {
    /// Height of a button.
    pub const BUTTON: f32 = 34.0;
    /// Height of a small button.
    pub const BUTTON_SMALL: f32 = 28.0;
    /// Width of the list of steps.
    pub const STEPS: f32 = 200.0;
    /// Width of the list of steps in a narrow window.
    pub const STEPS_NARROW: f32 = 56.0;
    /// A window narrower than this shows the steps as icons.
    pub const NARROW: f32 = 860.0;
    /// Widest text and cards.
    pub const PAGE: f32 = 1120.0;
}

/// Corner radii, in points.
pub mod radius {
    /// Badges, bars.
    pub const S: u8 = 4;
    /// Buttons, fields.
    pub const M: u8 = 8;
    /// Cards.
    pub const L: u8 = 12;
}

/// Colours of one theme.
#[derive(Debug, Clone, PartialEq)]
pub struct Palette {
    /// Behind everything.
    pub bg: Color32,
    /// Cards and panels.
    pub surface: Color32,
    /// Fields, tracks, table stripes.
    pub sunken: Color32,
    /// Hovered rows and quiet buttons.
    pub hover: Color32,
    /// Lines between areas.
    pub border: Color32,
    /// Outline of controls.
    pub outline: Color32,
    /// Text.
    pub text: Color32,
    /// Text that explains.
    pub muted: Color32,
    /// The colour of action.
    pub accent: Color32,
    /// Hovered action.
    pub accent_hover: Color32,
    /// Text on action.
    pub on_accent: Color32,
    /// Selected things.
    pub accent_soft: Color32,
    /// Text on a disabled action.
    pub disabled_text: Color32,
    /// Good.
    pub success: Color32,
    /// Behind good.
    pub success_soft: Color32,
    /// Needs a look.
    pub warning: Color32,
    /// Behind what needs a look.
    pub warning_soft: Color32,
    /// Wrong.
    pub danger: Color32,
    /// Behind what is wrong.
    pub danger_soft: Color32,
    /// Lines in plots, told apart with any colour vision (after Okabe and Ito).
    pub series: [Color32; 6],
    /// Grid of plots.
    pub grid: Color32,
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// The light theme.
pub const LIGHT: Palette = Palette {
    bg: rgb(0x00F6_F7F9),
    surface: rgb(0x00FF_FFFF),
    sunken: rgb(0x00F0_F2F5),
    hover: rgb(0x00EB_EEF3),
    border: rgb(0x00E0_E4EA),
    outline: rgb(0x0086_8F9E),
    text: rgb(0x001B_1F27),
    muted: rgb(0x0056_5F6E),
    accent: rgb(0x0034_55CF),
    accent_hover: rgb(0x0029_46B3),
    on_accent: rgb(0x00FF_FFFF),
    accent_soft: rgb(0x00E6_ECFC),
    disabled_text: rgb(0x005F_6877),
    success: rgb(0x000B_6B47),
    success_soft: rgb(0x00DF_F3EA),
    warning: rgb(0x0085_5400),
    warning_soft: rgb(0x00FC_F0D8),
    danger: rgb(0x00B3_261E),
    danger_soft: rgb(0x00FC_E6E4),
    series: [
        rgb(0x0000_72B2),
        rgb(0x00D5_5E00),
        rgb(0x0000_8560),
        rgb(0x00A8_4A86),
        rgb(0x009A_7400),
        rgb(0x0048_4F5C),
    ],
    grid: rgb(0x00D9_DEE6),
};

/// The dark theme.
pub const DARK: Palette = Palette {
    bg: rgb(0x0013_161B),
    surface: rgb(0x001B_1F26),
    sunken: rgb(0x0024_2932),
    hover: rgb(0x002B_313C),
    border: rgb(0x002E_343F),
    outline: rgb(0x0073_7D8E),
    text: rgb(0x00E7_EAEF),
    muted: rgb(0x00A6_AFBD),
    accent: rgb(0x008F_A9FF),
    accent_hover: rgb(0x00A9_BDFF),
    on_accent: rgb(0x000E_1530),
    accent_soft: rgb(0x0026_3052),
    disabled_text: rgb(0x00A6_AFBD),
    success: rgb(0x006F_D6A6),
    success_soft: rgb(0x0017_3329),
    warning: rgb(0x00F0_BE62),
    warning_soft: rgb(0x003A_2D12),
    danger: rgb(0x00FF_9A92),
    danger_soft: rgb(0x0043_2220),
    series: [
        rgb(0x0056_B4E9),
        rgb(0x00E6_9F00),
        rgb(0x0034_C79A),
        rgb(0x00E0_92BF),
        rgb(0x00F0_E442),
        rgb(0x00C3_CAD6),
    ],
    grid: rgb(0x0038_3F4B),
};

impl Palette {
    /// Every pair of text and background in use, with a name. Each must reach a contrast of 4.5.
    pub fn text_pairs(&self) -> Vec<(&'static str, Color32, Color32)> {
        vec![
            ("text on bg", self.text, self.bg),
            ("text on surface", self.text, self.surface),
            ("text on sunken", self.text, self.sunken),
            ("text on hover", self.text, self.hover),
            ("text on accent_soft", self.text, self.accent_soft),
            ("muted on bg", self.muted, self.bg),
            ("muted on surface", self.muted, self.surface),
            ("muted on sunken", self.muted, self.sunken),
            ("muted on hover", self.muted, self.hover),
            ("muted on accent_soft", self.muted, self.accent_soft),
            ("accent on surface", self.accent, self.surface),
            ("accent on bg", self.accent, self.bg),
            ("accent on accent_soft", self.accent, self.accent_soft),
            ("accent on hover", self.accent, self.hover),
            ("on_accent on accent", self.on_accent, self.accent),
            ("on_accent on accent_hover", self.on_accent, self.accent_hover),
            ("disabled_text on sunken", self.disabled_text, self.sunken),
            ("success on success_soft", self.success, self.success_soft),
            ("success on surface", self.success, self.surface),
            ("warning on warning_soft", self.warning, self.warning_soft),
            ("warning on surface", self.warning, self.surface),
            ("danger on danger_soft", self.danger, self.danger_soft),
            ("danger on surface", self.danger, self.surface),
            ("danger on hover", self.danger, self.hover),
            ("text on success_soft", self.text, self.success_soft),
            ("text on warning_soft", self.text, self.warning_soft),
            ("text on danger_soft", self.text, self.danger_soft),
        ]
    }

    /// Every pair of a line or outline and its background. Each must reach a contrast of 3.
    pub fn graphic_pairs(&self) -> Vec<(&'static str, Color32, Color32)> {
        let mut pairs = vec![
            ("outline on surface", self.outline, self.surface),
            ("outline on bg", self.outline, self.bg),
            ("accent on sunken", self.accent, self.sunken),
        ];
        pairs.extend(self.series.iter().map(|c| ("series on surface", *c, self.surface)));
        pairs
    }
}

/// Contrast of two opaque colours after WCAG 2, from 1 to 21.
pub fn contrast(a: Color32, b: Color32) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance(c: Color32) -> f64 {
    let linear = |v: u8| {
        let v = f64::from(v) / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(c.r()) + 0.7152 * linear(c.g()) + 0.0722 * linear(c.b())
}

/// Pairs that do not reach the contrast they need, as sentences.
pub fn contrast_faults(palette: &Palette) -> Vec<String> {
    let text = palette.text_pairs().into_iter().map(|p| (p, 4.5));
    let graphics = palette.graphic_pairs().into_iter().map(|p| (p, 3.0));
    text.chain(graphics)
        .filter_map(|((name, a, b), needed)| {
            let c = contrast(a, b);
            (c < needed).then(|| format!("{name}: {c:.2}, needs {needed}"))
        })
        .collect()
}

/// The palette in use.
pub fn palette(ui: &Ui) -> &'static Palette {
    if ui.visuals().dark_mode { &DARK } else { &LIGHT }
}

/// The palette in use, without a `Ui` at hand.
pub fn palette_of(ctx: &Context) -> &'static Palette {
    match ctx.theme() {
        Theme::Dark => &DARK,
        Theme::Light => &LIGHT,
    }
}

/// Colours from low to high that keep their order in any colour vision and in grey (after cividis).
pub fn sequential(share: f32) -> Color32 {
    const STOPS: [(u8, u8, u8); 6] = [
        (0, 34, 78),
        (53, 69, 108),
        (102, 105, 112),
        (148, 142, 119),
        (201, 184, 103),
        (254, 232, 56),
    ];
    let at = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f32;
    let low = (at as usize).min(STOPS.len() - 2);
    let t = at - low as f32;
    let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * t).round() as u8;
    let (a, b) = (STOPS[low], STOPS[low + 1]);
    Color32::from_rgb(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

fn family(name: &str) -> FontFamily {
    FontFamily::Name(name.into())
}

/// Text: page title.
pub fn title() -> FontId {
    FontId::new(26.0, family("semibold"))
}

/// Text: section heading.
pub fn heading() -> FontId {
    FontId::new(17.0, family("semibold"))
}

/// Text: emphasised body.
pub fn strong() -> FontId {
    FontId::new(14.0, family("semibold"))
}

/// Text: body of buttons and labels.
pub fn medium() -> FontId {
    FontId::new(14.0, family("medium"))
}

/// Text: small labels.
pub fn small_medium() -> FontId {
    FontId::new(12.5, family("medium"))
}

/// Text: body.
pub fn body() -> FontId {
    FontId::new(14.0, FontFamily::Proportional)
}

/// Text: explanations.
pub fn small() -> FontId {
    FontId::new(12.5, FontFamily::Proportional)
}

/// Text: a figure that stands alone.
pub fn figure() -> FontId {
    FontId::new(21.0, family("semibold"))
}

/// Text: a result.
pub fn display() -> FontId {
    FontId::new(38.0, family("semibold"))
}

/// Icons of a size.
pub fn icon_font(size: f32) -> FontId {
    FontId::new(size, family("icons"))
}

/// The fonts: Inter for text, Phosphor for icons, egui's own where those have no glyph.
pub fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let inter: [(&str, &'static [u8]); 3] = [
        ("inter", include_bytes!("../../assets/fonts/Inter-Regular.otf")),
        ("inter-medium", include_bytes!("../../assets/fonts/Inter-Medium.otf")),
        ("inter-semibold", include_bytes!("../../assets/fonts/Inter-SemiBold.otf")),
    ];
    for (name, bytes) in inter {
        fonts.font_data.insert(name.to_owned(), FontData::from_static(bytes).into());
    }
    let icons = FontData::from_static(include_bytes!("../../assets/fonts/Phosphor-subset.ttf"))
        .tweak(FontTweak::default());
    fonts.font_data.insert("phosphor".to_owned(), icons.into());
    let fallback = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    let with = |first: &str| {
        let mut list = vec![first.to_owned()];
        list.extend(fallback.iter().cloned());
        list
    };
    fonts.families.insert(FontFamily::Proportional, with("inter"));
    fonts.families.insert(family("medium"), with("inter-medium"));
    fonts.families.insert(family("semibold"), with("inter-semibold"));
    fonts.families.insert(family("icons"), vec!["phosphor".to_owned()]);
    fonts
}

/// Sets fonts and both themes' styles.
pub fn install(ctx: &Context) {
    ctx.set_fonts(fonts());
    ctx.set_style_of(Theme::Light, style(&LIGHT, Visuals::light()));
    ctx.set_style_of(Theme::Dark, style(&DARK, Visuals::dark()));
    ctx.options_mut(|o| o.zoom_with_keyboard = false);
}

fn style(p: &Palette, visuals: Visuals) -> Style {
    let mut style = Style { visuals: colours(p, visuals), ..Style::default() };
    style.text_styles = [
        (TextStyle::Small, small()),
        (TextStyle::Body, body()),
        (TextStyle::Button, medium()),
        (TextStyle::Heading, heading()),
        (TextStyle::Monospace, FontId::new(12.5, FontFamily::Monospace)),
    ]
    .into();
    let s = &mut style.spacing;
    s.item_spacing = Vec2::new(space::S, space::S);
    s.button_padding = Vec2::new(space::M, 6.0);
    s.interact_size = Vec2::new(40.0, 30.0);
    s.combo_width = 120.0;
    s.icon_width = 18.0;
    s.icon_width_inner = 10.0;
    s.menu_margin = Margin::same(6);
    s.window_margin = Margin::same(16);
    s.tooltip_width = 360.0;
    style.interaction.selectable_labels = false;
    style.interaction.tooltip_delay = 0.3;
    style.animation_time = 0.12;
    style
}

fn colours(p: &Palette, mut v: Visuals) -> Visuals {
    v.override_text_color = None;
    v.weak_text_color = Some(p.muted);
    v.hyperlink_color = p.accent;
    v.faint_bg_color = p.sunken;
    v.extreme_bg_color = p.surface;
    v.text_edit_bg_color = Some(p.surface);
    v.code_bg_color = p.sunken;
    v.warn_fg_color = p.warning;
    v.error_fg_color = p.danger;
    v.window_corner_radius = CornerRadius::same(radius::L);
    v.menu_corner_radius = CornerRadius::same(radius::M);
    v.window_fill = p.surface;
    v.window_stroke = Stroke::new(1.0, p.border);
    v.panel_fill = p.bg;
    let shadow =
        Shadow { offset: [0, 4], blur: 16, spread: 0, color: Color32::from_black_alpha(40) };
    v.popup_shadow = shadow;
    v.window_shadow = shadow;
    v.selection.bg_fill = p.accent_soft;
    v.selection.stroke = Stroke::new(1.0, p.accent);
    v.slider_trailing_fill = true;
    v.disabled_alpha = 1.0;
    v.striped = false;
    let corner = CornerRadius::same(radius::M);
    let w = &mut v.widgets;
    w.noninteractive.bg_fill = p.surface;
    w.noninteractive.weak_bg_fill = p.surface;
    w.noninteractive.bg_stroke = Stroke::new(1.0, p.border);
    w.noninteractive.fg_stroke = Stroke::new(1.0, p.text);
    w.noninteractive.corner_radius = corner;
    for (widget, fill, line) in [
        (&mut w.inactive, p.surface, p.outline),
        (&mut w.hovered, p.hover, p.text),
        (&mut w.active, p.accent_soft, p.accent),
        (&mut w.open, p.hover, p.accent),
    ] {
        widget.bg_fill = fill;
        widget.weak_bg_fill = fill;
        widget.bg_stroke = Stroke::new(1.0, line);
        widget.fg_stroke = Stroke::new(1.0, p.text);
        widget.corner_radius = corner;
        widget.expansion = 0.0;
    }
    w.active.bg_stroke = Stroke::new(2.0, p.accent);
    v
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::icons;

    #[test]
    fn contrast_is_enough() {
        assert_eq!(contrast_faults(&LIGHT), [""; 0]);
        assert_eq!(contrast_faults(&DARK), [""; 0]);
    }

    #[test]
    fn contrast_check_finds_a_planted_fault() {
        let pale = Palette { muted: rgb(0x00B0_B5BD), ..LIGHT };
        assert!(contrast_faults(&pale).iter().any(|f| f.starts_with("muted on bg")));
        let faint = Palette { series: [rgb(0x00F0_E442); 6], ..LIGHT };
        assert!(contrast_faults(&faint).iter().any(|f| f.starts_with("series")));
        assert!((contrast(Color32::WHITE, Color32::BLACK) - 21.0).abs() < 1e-9);
    }

    #[test]
    fn series_differ_for_every_colour_vision() {
        // Brettel-like projections in linear RGB: protan, deutan, tritan.
        const SEEN: [[[f64; 3]; 3]; 4] = [
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
            [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
            [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
        ];
        for palette in [&LIGHT, &DARK] {
            // The lines that share a plot: training and validation; scale and amax.
            let (a, b) = (palette.series[0], palette.series[1]);
            for m in SEEN {
                let see = |c: Color32| {
                    let v = [c.r(), c.g(), c.b()].map(|v| (f64::from(v) / 255.0).powf(2.2));
                    m.map(|row| (row[0] * v[0] + row[1] * v[1] + row[2] * v[2]).clamp(0.0, 1.0))
                };
                let (a, b) = (see(a), see(b));
                let d: f64 = a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
                assert!(d > 0.25, "{d}");
            }
        }
    }

    #[test]
    fn sequential_gets_lighter_all_the_way() {
        let mut last = -1.0;
        for i in 0..=20 {
            let l = luminance(sequential(i as f32 / 20.0));
            assert!(l > last);
            last = l;
        }
    }

    #[test]
    fn every_icon_has_a_glyph() {
        let ctx = Context::default();
        install(&ctx);
        let _ = ctx.run_ui(egui::RawInput::default(), |ui| {
            let font = icon_font(16.0);
            for icon in icons::ALL {
                assert!(ui.ctx().fonts_mut(|f| f.has_glyph(&font, *icon)), "{icon:?}");
            }
            assert!(!ui.ctx().fonts_mut(|f| f.has_glyph(&font, 'Q')));
            for c in "äßéŁЖλ−≥≈→×·…".chars() {
                assert!(ui.ctx().fonts_mut(|f| f.has_glyph(&body(), c)), "{c}");
            }
        });
    }
}
