//! Work that is shown while it goes on: a bar on a terminal, a line every few seconds elsewhere.

use std::{
    future::Future,
    io::IsTerminal,
    pin::pin,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::notices::{Manner, Showing};

pub struct Shown {
    bar: Option<ProgressBar>,
    is_silent: bool,
    began: Instant,
}

const BAR_MS: u64 = 100;
const LINE_MS: u64 = 5_000;

impl Shown {
    /// `total`: the bar's length, where it is known and of what `template` counts; a spinner without.
    pub fn begin(total: Option<u64>, template: &str) -> Self {
        let style =
            || ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            bar.set_style(style());
            bar
        });
        Self { bar, is_silent: false, began: Instant::now() }
    }

    /// Draws nothing: whoever is asked for the text tells it in a way of its own.
    pub fn silent() -> Self {
        Self { bar: None, is_silent: true, began: Instant::now() }
    }

    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Draws until `work` is done; `told` gives the bar's place and the text from the seconds that have passed.
    pub async fn until<T>(&self, work: impl Future<Output = T>, told: impl Fn(f64) -> (u64, String)) -> T {
        let mut work = pin!(work);
        let _showing = Showing::begin(match &self.bar {
            Some(bar) => Manner::Bar(bar.clone()),
            None if self.is_silent => Manner::Events,
            None => Manner::Lines,
        });
        let every = Duration::from_millis(if self.bar.is_some() { BAR_MS } else { LINE_MS });
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                _ = ticks.tick() => self.draw(told(self.seconds().max(0.001))),
            }
        };
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        done
    }

    fn draw(&self, (place, text): (u64, String)) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(place);
                bar.set_message(text);
                bar.tick();
            }
            None if self.is_silent => {}
            None => eprintln!("{text}"),
        }
    }
}
