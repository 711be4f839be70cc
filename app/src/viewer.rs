//! The radiograph: window and level by dragging and by number, fit, zoom, move.

use std::sync::Arc;

use hilum_image::{Polarity, Radiograph, WindowChoice};
use leptos::html::Canvas;
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::{
    CanvasRenderingContext2d, HtmlCanvasElement, ImageData, KeyboardEvent, MouseEvent, PointerEvent,
    WheelEvent,
};

use super::workspace::{Picture, Workspace};

/// Dragging over so many screen pixels changes the window by the picture's whole range.
const TRAVEL: f64 = 400.0;
const ZOOM: (f64, f64) = (0.5, 12.0);

/// Screen pixels from the left and from the top.
type Point = (f64, f64);
/// The middle of the stage.
const MIDDLE: Point = (0.0, 0.0);

/// How the picture is looked at.
#[derive(Clone, Debug, PartialEq)]
struct Look {
    window: WindowChoice,
    inverted: bool,
    zoom: f64,
    shift: Point,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            window: WindowChoice::Default,
            inverted: false,
            zoom: 1.0,
            shift: (0.0, 0.0),
        }
    }
}

impl Look {
    /// Zooms so that the point `at`, in screen pixels from the middle of the stage, stays where it is.
    fn zoomed(&mut self, factor: f64, at: Point) {
        let zoom = (self.zoom * factor).clamp(ZOOM.0, ZOOM.1);
        let factor = zoom / self.zoom;
        self.zoom = zoom;
        self.shift = (
            at.0 + (self.shift.0 - at.0) * factor,
            at.1 + (self.shift.1 - at.1) * factor,
        );
    }
}

/// What a pointer does to the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tool {
    Window,
    Move,
}

/// Centre and width in use; of a look-up table, those of the whole range, from which a drag then begins.
fn numbers(picture: &Radiograph, choice: &WindowChoice) -> (f64, f64) {
    let named = |index: usize| picture.windows.get(index.checked_sub(picture.voi_luts.len())?);
    let window = match choice {
        WindowChoice::Explicit { center, width } => return (*center, *width),
        WindowChoice::Index(index) => named(*index),
        _ => named(0),
    };
    window.map_or_else(
        || {
            let (low, high) = picture.display_range.unwrap_or_else(|| picture.value_range());
            (
                f64::midpoint(low.into(), high.into()),
                (f64::from(high) - f64::from(low)).max(1e-6),
            )
        },
        |window| (window.center, window.width),
    )
}

fn span(picture: &Radiograph) -> f64 {
    let (low, high) = picture.value_range();
    (f64::from(high) - f64::from(low)).max(1e-6)
}

fn paint(canvas: &HtmlCanvasElement, picture: &Radiograph, look: &Look) -> Option<()> {
    let gray = picture.display(&look.window).ok()?;
    let shade = |v: u8| if look.inverted { 255 - v } else { v };
    let rgba: Vec<u8> = gray
        .pixels
        .iter()
        .flat_map(|&v| [shade(v), shade(v), shade(v), 255])
        .collect();
    put(canvas, &rgba, (gray.width, gray.height))
}

/// Puts pixels, four bytes each, onto a canvas of that width and height.
pub fn put(canvas: &HtmlCanvasElement, rgba: &[u8], (width, height): (usize, usize)) -> Option<()> {
    let (width, height) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    // Setting the size clears the canvas, so it is done only where it changes.
    if canvas.width() != width || canvas.height() != height {
        canvas.set_width(width);
        canvas.set_height(height);
    }
    let data =
        ImageData::new_with_u8_clamped_array_and_sh(wasm_bindgen::Clamped(rgba), width, height).ok()?;
    let context = canvas
        .get_context("2d")
        .ok()??
        .dyn_into::<CanvasRenderingContext2d>()
        .ok()?;
    context.put_image_data(&data, 0.0, 0.0).ok()
}

/// The picture with its tools.
#[component]
pub fn Viewer(workspace: Workspace) -> impl IntoView {
    let look = RwSignal::new(Look::default());
    let tool = RwSignal::new(Tool::Window);
    let canvas = NodeRef::<Canvas>::new();
    let read = Memo::new_with_compare(
        move |_| match workspace.picture.get() {
            Picture::Read(name, picture, full) => Some((name, picture, full)),
            _ => None,
        },
        |a, b| match (a, b) {
            (Some(Some((_, a, _))), Some(Some((_, b, _)))) => !Arc::ptr_eq(a, b),
            (a, b) => a.map(Option::is_some) != b.map(Option::is_some),
        },
    );
    let picture = move || read.get().map(|(_, picture, _)| picture);
    // A new picture is looked at afresh.
    Effect::new(move |_| {
        read.track();
        look.set(Look::default());
    });
    Effect::new(move |_| {
        if let (Some(canvas), Some(picture)) = (canvas.get(), picture()) {
            // The default window was shown to exist when the file was decoded; another one is always explicit
            // or listed.
            let _ = paint(&canvas, &picture, &look.get());
        }
    });
    // The map of the word that is pointed at, laid over it.
    let over = NodeRef::<Canvas>::new();
    Effect::new(move |_| {
        let heat = workspace.questions.overlay.get();
        if let Some(canvas) = over.get() {
            canvas.set_hidden(heat.is_none());
            if let Some((pixels, size)) = heat.map(|heat| heat.pixels()) {
                // Where it cannot be drawn, the words still say where it is strongest.
                let _ = put(&canvas, &pixels, size);
            }
        }
    });

    // The pointers that are down, by number: one sets the window or moves, two pinch.
    let pointers = StoredValue::new(Vec::<(i32, Point)>::new());
    let place = |event: &MouseEvent| (f64::from(event.client_x()), f64::from(event.client_y()));
    let begin = move |event: PointerEvent| {
        pointers.update_value(|all| all.push((event.pointer_id(), place(&event))));
        if let Some(canvas) = canvas.get_untracked() {
            // Where it is not granted, the drag ends at the picture's edge.
            let _ = canvas.set_pointer_capture(event.pointer_id());
        }
    };
    let end =
        move |event: PointerEvent| pointers.update_value(|all| all.retain(|p| p.0 != event.pointer_id()));
    let from_middle = move |at: Point| {
        let stage = canvas.get_untracked().and_then(|canvas| canvas.parent_element());
        stage.map_or(MIDDLE, |stage| {
            let area = stage.get_bounding_client_rect();
            (
                at.0 - area.x() - area.width() / 2.0,
                at.1 - area.y() - area.height() / 2.0,
            )
        })
    };
    let drag_on = move |event: PointerEvent| {
        let now = place(&event);
        let mut before = pointers.get_value();
        let Some(index) = before.iter().position(|p| p.0 == event.pointer_id()) else {
            return;
        };
        let (x, y) = before[index].1;
        pointers.update_value(|all| all[index].1 = now);
        let Some(picture) = read.get_untracked().map(|r| r.1) else {
            return;
        };
        if before.len() > 1 {
            let other = before.swap_remove(1 - index.min(1)).1;
            let apart = |point: Point| (point.0 - other.0).hypot(point.1 - other.1).max(1.0);
            let (factor, moved) = (apart(now) / apart((x, y)), ((now.0 - x) / 2.0, (now.1 - y) / 2.0));
            let middle = from_middle((f64::midpoint(now.0, other.0), f64::midpoint(now.1, other.1)));
            return look.update(|look| {
                look.zoomed(factor, middle);
                look.shift = (look.shift.0 + moved.0, look.shift.1 + moved.1);
            });
        }
        let (dx, dy) = (now.0 - x, now.1 - y);
        // The right button, and a second tool, move.
        if tool.get_untracked() == Tool::Move || event.buttons() & 6 != 0 {
            look.update(|look| look.shift = (look.shift.0 + dx, look.shift.1 + dy));
        } else {
            let by = span(&picture) / TRAVEL;
            look.update(|look| {
                let (center, width) = numbers(&picture, &look.window);
                let width = (width + dx * by).max(by / 8.0);
                look.window = WindowChoice::Explicit {
                    center: center + dy * by,
                    width,
                };
            });
        }
    };
    let wheel = move |event: WheelEvent| {
        event.prevent_default();
        let at = from_middle(place(&event));
        look.update(|look| look.zoomed((-event.delta_y() / 500.0).exp(), at));
    };
    let key = move |event: KeyboardEvent| {
        let Some(picture) = read.get_untracked().map(|r| r.1) else {
            return;
        };
        let by = span(&picture) / 50.0;
        let mut taken = true;
        look.update(|look| {
            let (center, width) = numbers(&picture, &look.window);
            let mut set = |center, width: f64| {
                look.window = WindowChoice::Explicit {
                    center,
                    width: width.max(by / 50.0),
                }
            };
            match event.key().as_str() {
                "ArrowUp" => set(center - by, width),
                "ArrowDown" => set(center + by, width),
                "ArrowLeft" => set(center, width - by),
                "ArrowRight" => set(center, width + by),
                "+" | "=" => look.zoomed(1.25, MIDDLE),
                "-" => look.zoomed(0.8, MIDDLE),
                "i" => look.inverted = !look.inverted,
                "0" | "f" => {
                    *look = Look {
                        window: look.window.clone(),
                        inverted: look.inverted,
                        ..Look::default()
                    }
                }
                "Escape" => *look = Look::default(),
                _ => taken = false,
            }
        });
        if taken {
            event.prevent_default();
        }
    };
    let number = move |at: usize| {
        move || {
            picture().map_or(String::new(), |picture| {
                let (center, width) = numbers(&picture, &look.get().window);
                let value = [center, width][at];
                // As many digits as the picture's range has use for.
                if span(&picture) > 20.0 {
                    format!("{value:.0}")
                } else {
                    format!("{value:.3}")
                }
            })
        }
    };
    let set_number = move |at: usize| {
        move |event: leptos::ev::Event| {
            let (Ok(value), Some(picture)) = (
                event_target_value(&event).parse::<f64>(),
                read.get_untracked().map(|r| r.1),
            ) else {
                return;
            };
            look.update(|look| {
                let (center, width) = numbers(&picture, &look.window);
                let (center, width) = if at == 0 { (value, width) } else { (center, value) };
                if width > 0.0 && center.is_finite() && width.is_finite() {
                    look.window = WindowChoice::Explicit { center, width };
                }
            });
        }
    };
    let choose = move |event: leptos::ev::Event| {
        let window = event_target_value(&event)
            .parse()
            .map_or(WindowChoice::Default, WindowChoice::Index);
        look.update(|look| look.window = window);
    };
    let names = move || {
        picture()
            .map(|picture| picture.window_names())
            .unwrap_or_default()
    };
    let transform = move || {
        let look = look.get();
        format!(
            "translate({:.1}px, {:.1}px) scale({:.4})",
            look.shift.0, look.shift.1, look.zoom
        )
    };
    let is_window = move || tool.get() == Tool::Window;
    let facts = move || {
        read.get().map(|(name, picture, (width, height))| {
            let polarity = if picture.photometric == Polarity::Monochrome1 { ", MONOCHROME1" } else { "" };
            view! {
                <p class="facts"><strong>{name}</strong>{format!(" · {} · {width} × {height}{polarity}", picture.format)}</p>
            }
        })
    };
    let notes = move || {
        let notes = picture().map(|picture| picture.notes.clone()).unwrap_or_default();
        let items = || {
            notes
                .iter()
                .map(|note| view! { <li>{note.clone()}</li> })
                .collect_view()
        };
        (!notes.is_empty()).then(|| view! { <ul class="notes">{items()}</ul> })
    };
    view! {
        <div class="viewer" class:reading=move || read.get().is_some()>
            <div class="toolbar" role="toolbar" aria-label="View" hidden=move || read.get().is_none()>
                <button aria-pressed=move || is_window().to_string() on:click=move |_| tool.set(Tool::Window)>"Window"</button>
                <button aria-pressed=move || (!is_window()).to_string() on:click=move |_| tool.set(Tool::Move)>"Pan"</button>
                <label>"Center" <input id="window-center" type="number" step="any" aria-label="Window center" prop:value=number(0) on:change=set_number(0)/></label>
                <label>"Width" <input id="window-width" type="number" step="any" min="0" aria-label="Window width" prop:value=number(1) on:change=set_number(1)/></label>
                <select
                    aria-label="Windows in the file"
                    hidden=move || names().len() < 2
                    prop:value=move || match look.get().window { WindowChoice::Index(i) => i.to_string(), _ => "0".to_owned() }
                    on:change=choose
                >
                    {move || names().into_iter().enumerate().map(|(i, name)| view! { <option value=i.to_string()>{name}</option> }).collect_view()}
                </select>
                <button on:click=move |_| look.update(|look| look.inverted = !look.inverted) aria-pressed=move || look.get().inverted.to_string()>"Invert"</button>
                <button class="zoom" aria-label="Zoom in" on:click=move |_| look.update(|look| look.zoomed(1.25, MIDDLE))>"+"</button>
                <button class="zoom" aria-label="Zoom out" on:click=move |_| look.update(|look| look.zoomed(0.8, MIDDLE))>"−"</button>
                <button on:click=move |_| look.update(|look| { look.zoom = 1.0; look.shift = (0.0, 0.0) })>"Fit"</button>
                <button on:click=move |_| look.set(Look::default())>"Reset"</button>
            </div>
            <div id="notes" role="status">{notes}</div>
            <div class="stage" hidden=move || read.get().is_none() class:moving=move || !is_window()>
                <canvas
                    node_ref=canvas
                    tabindex="0"
                    role="img"
                    aria-label="The radiograph. Arrow keys change the window, plus and minus zoom, f fits, i inverts, Escape resets."
                    style:transform=transform
                    on:pointerdown=begin
                    on:pointermove=drag_on
                    on:pointerup=end
                    on:pointercancel=end
                    on:contextmenu=|event| event.prevent_default()
                    on:dblclick=move |_| look.set(Look::default())
                    on:wheel=wheel
                    on:keydown=key
                ></canvas>
                <canvas id="heat" node_ref=over aria-hidden="true" style:transform=transform></canvas>
            </div>
            {facts}
        </div>
    }
}
