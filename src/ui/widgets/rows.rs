//! Rows or pictures of the data as evidence: of a finding, of an answer, of a change.

use egui::{Align, ColorImage, Label, Layout, RichText, TextureHandle, TextureOptions, Ui, Vec2};
use egui_extras::{Column as Width, TableBuilder};

use super::small;
use super::table::sideways;
use crate::data::{Column, ImageSet, Samples};
use crate::tr;
use crate::ui::screens::count;
use crate::ui::theme;

/// Most rows or pictures of which one can scroll.
const MOST: usize = 2000;
/// Most pictures.
const PICTURES: usize = 48;
/// Side of a picture.
const SIDE: f32 = 64.0;
const ROW: f32 = 28.0;
const HEAD: f32 = 28.0;

/// What is said of a row before its cells: headings and, by the row's place in the list, texts.
type Said<'a> = (&'a [&'a str], &'a dyn Fn(usize) -> Vec<String>);

/// A list of rows with their cells, or of pictures.
pub struct Rows<'a> {
    id: &'a str,
    samples: &'a Samples,
    numbers: &'a [usize],
    total: usize,
    first: Vec<&'a str>,
    only: bool,
    without: Option<&'a str>,
    said: Option<Said<'a>>,
    height: f32,
}

impl<'a> Rows<'a> {
    /// Rows or pictures by their numbers from 0.
    pub fn new(id: &'a str, samples: &'a Samples, numbers: &'a [usize]) -> Self {
        let total = numbers.len();
        Self {
            id,
            samples,
            numbers,
            total,
            first: Vec::new(),
            only: false,
            without: None,
            said: None,
            height: 300.0,
        }
    }

    /// How many there are, where the list holds only the first.
    pub fn of(self, total: usize) -> Self {
        Self { total, ..self }
    }

    /// Columns that come first.
    pub fn first(self, first: impl IntoIterator<Item = &'a str>) -> Self {
        Self { first: first.into_iter().collect(), ..self }
    }

    /// Only the columns that come first, if there are any.
    pub fn only(self) -> Self {
        Self { only: true, ..self }
    }

    /// Leaves a column out.
    pub fn without(self, column: &'a str) -> Self {
        Self { without: Some(column), ..self }
    }

    /// Says something of every row before its cells.
    pub fn said(self, head: &'a [&'a str], of: &'a dyn Fn(usize) -> Vec<String>) -> Self {
        Self { said: Some((head, of)), ..self }
    }

    /// Most height, in points.
    pub fn height(self, height: f32) -> Self {
        Self { height, ..self }
    }

    /// Shows it.
    pub fn show(self, ui: &mut Ui) {
        let listed = match self.samples {
            Samples::Table(table) => {
                let named = |c: &&Column| self.first.contains(&c.name());
                let mut columns: Vec<&Column> = if self.only && !self.first.is_empty() {
                    table.columns().iter().filter(named).collect()
                } else {
                    table.columns().iter().filter(|c| self.without != Some(c.name())).collect()
                };
                let place = |c: &&Column| self.first.iter().position(|n| *n == c.name());
                columns.sort_by_key(|c| place(c).unwrap_or(usize::MAX));
                let listed = self.numbers.len().min(MOST);
                self.cells(ui, &columns, listed, |n| table.line(n).to_string());
                listed
            }
            Samples::Images(images) => {
                let listed = self.numbers.len().min(PICTURES);
                self.pictures(ui, images, listed);
                listed
            }
        };
        if self.total > listed {
            small(ui, tr!("The first {n} of {all}.", n = count(listed), all = count(self.total)));
        }
    }

    fn cells(
        &self,
        ui: &mut Ui,
        columns: &[&Column],
        listed: usize,
        line: impl Fn(usize) -> String,
    ) {
        let said = self.said.map_or(&[][..], |(head, _)| head);
        let width = ui.available_width();
        // Few columns share the room; many scroll.
        let taken = 72.0 + 112.0 * said.len() as f32;
        let each = (width - taken) / columns.len().max(1) as f32 - 8.0;
        let fits = each >= 60.0;
        let column = match fits {
            true => Width::remainder().at_least(60.0),
            false => Width::initial(110.0).at_least(60.0).resizable(true),
        };
        let height = self.height.min(HEAD + ROW * listed as f32 + 4.0);
        sideways(ui, (self.id, "rows-x"), |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            TableBuilder::new(ui)
                .id_salt((self.id, "rows"))
                .striped(true)
                .min_scrolled_height(height)
                .max_scroll_height(height)
                .auto_shrink([false, true])
                .cell_layout(Layout::left_to_right(Align::Center))
                .column(Width::exact(64.0))
                .columns(Width::exact(104.0).clip(true), said.len())
                .columns(column.clip(true), columns.len())
                .header(HEAD, |mut header| {
                    for name in std::iter::once(&tr!("Row")).chain(said) {
                        header.col(|ui| {
                            small(ui, *name);
                        });
                    }
                    for column in columns {
                        header.col(|ui| {
                            let text = RichText::new(column.name()).font(theme::small_medium());
                            ui.add(Label::new(text).truncate());
                        });
                    }
                })
                .body(|body| {
                    body.rows(ROW, listed, |mut row| {
                        let place = row.index();
                        let Some(&number) = self.numbers.get(place) else { return };
                        row.col(|ui| {
                            small(ui, line(number));
                        });
                        let texts = self.said.map_or(Vec::new(), |(_, of)| of(place));
                        for text in texts.into_iter().take(said.len()) {
                            row.col(|ui| {
                                let text = RichText::new(text).font(theme::small());
                                ui.add(Label::new(text).truncate());
                            });
                        }
                        for column in columns {
                            row.col(|ui| cell(ui, column.raw(number), column.is_missing(number)));
                        }
                    });
                });
        });
    }

    fn pictures(&self, ui: &mut Ui, images: &ImageSet, listed: usize) {
        let shown = self.numbers.get(..listed).unwrap_or_default();
        let textures = textures(ui, self.id, images, shown);
        egui::ScrollArea::vertical().id_salt((self.id, "pictures")).max_height(self.height).show(
            ui,
            |ui| {
                ui.horizontal_wrapped(|ui| {
                    for ((place, number), texture) in shown.iter().enumerate().zip(textures) {
                        let said = self.said.map_or(Vec::new(), |(_, of)| of(place));
                        self.picture(ui, images, *number, texture.as_ref(), &said);
                    }
                });
            },
        );
    }

    fn picture(
        &self,
        ui: &mut Ui,
        images: &ImageSet,
        number: usize,
        texture: Option<&TextureHandle>,
        said: &[String],
    ) {
        let name = match images.paths.get(number).and_then(|p| p.file_name()) {
            Some(name) => name.to_string_lossy().into_owned(),
            None => tr!("picture {n}", n = number + 1),
        };
        let class = images.labels.get(number).and_then(|l| images.classes.get(*l as usize));
        let heads = self.said.map_or(&[][..], |(head, _)| head);
        let mut lines: Vec<String> =
            heads.iter().zip(said).map(|(head, text)| format!("{head}: {text}")).collect();
        if lines.is_empty() {
            lines.extend(class.cloned());
        }
        let width = SIDE + 56.0;
        let high = SIDE + 18.0 * (lines.len() + 1) as f32 + 6.0;
        ui.allocate_ui(Vec2::new(width, high), |ui| {
            ui.vertical(|ui| {
                ui.set_width(width);
                ui.spacing_mut().item_spacing.y = 2.0;
                if let Some(texture) = texture {
                    let size = texture.size_vec2();
                    let scale = SIDE / size.x.max(size.y).max(1.0);
                    let spoken = format!("{name}, {}", lines.join(", "));
                    ui.add(
                        egui::Image::new(texture)
                            .fit_to_exact_size(size * scale)
                            .alt_text(spoken.clone()),
                    )
                    .on_hover_text(spoken);
                }
                for text in std::iter::once(&name).chain(&lines) {
                    ui.add(Label::new(RichText::new(text).font(theme::small())).truncate());
                }
            });
        });
    }
}

/// Pictures of a list, made once for each list and data.
#[derive(Clone)]
struct Made {
    of: (usize, Vec<usize>),
    textures: Vec<Option<TextureHandle>>,
}

fn textures(ui: &Ui, id: &str, images: &ImageSet, numbers: &[usize]) -> Vec<Option<TextureHandle>> {
    let key = ui.make_persistent_id((id, "textures"));
    let of = (std::ptr::from_ref(images) as usize, numbers.to_vec());
    if let Some(made) = ui.ctx().data(|d| d.get_temp::<Made>(key)).filter(|m| m.of == of) {
        return made.textures;
    }
    let textures: Vec<_> = numbers.iter().map(|n| picture(ui, images, *n)).collect();
    ui.ctx().data_mut(|d| d.insert_temp(key, Made { of, textures: textures.clone() }));
    textures
}

/// One picture of a set as the window draws it.
pub fn picture(ui: &Ui, images: &ImageSet, number: usize) -> Option<TextureHandle> {
    let size = images.width * images.height * images.channels;
    let pixels = images.pixels.get(number * size..(number + 1) * size)?;
    let shape = [images.width, images.height];
    let image = match images.channels {
        1 => ColorImage::from_gray(shape, pixels),
        3 => ColorImage::from_rgb(shape, pixels),
        _ => return None,
    };
    Some(ui.ctx().load_texture(format!("picture-{number}"), image, TextureOptions::NEAREST))
}

/// One cell of the table as it stands in the file.
pub fn cell(ui: &mut Ui, raw: &str, missing: bool) {
    let p = theme::palette(ui);
    if missing {
        let text = RichText::new(if raw.trim().is_empty() { tr!("empty") } else { raw })
            .font(theme::small())
            .italics()
            .color(p.warning);
        ui.add(Label::new(text).truncate());
    } else {
        // A cell may hold millions of characters; only its beginning can be seen.
        let end = raw.char_indices().nth(120).map_or(raw.len(), |(i, _)| i);
        let shown = raw.get(..end).unwrap_or_default();
        ui.add(Label::new(RichText::new(shown).font(theme::small()).color(p.text)).truncate());
    }
}
