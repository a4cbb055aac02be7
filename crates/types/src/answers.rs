//! When a database last answered, for those who must not wait for it: `/readyz`, and a stop.
//!
//! The sink notes each question and each answer. Nothing blocks here longer than a copy takes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The last question and the last answer of one sink.
#[derive(Debug)]
pub struct Answers(Mutex<PendingAnswer>);

#[derive(Debug)]
struct PendingAnswer {
    /// Since when an answer is outstanding.
    asked: Option<Instant>,
    answered: Instant,
}

impl Default for Answers {
    fn default() -> Self {
        Answers(Mutex::new(PendingAnswer { asked: None, answered: Instant::now() }))
    }
}

impl Answers {
    fn lock(&self) -> MutexGuard<'_, PendingAnswer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A question is sent. An answer is outstanding until one came to this question or a later one:
    /// what is given up, or lost with its connection, was not answered.
    pub fn ask(&self) -> Question<'_> {
        self.lock().asked.get_or_insert_with(Instant::now);
        Question(self)
    }

    /// For how long an answer is outstanding.
    pub fn silence(&self) -> Option<Duration> {
        self.lock().asked.map(|asked| asked.elapsed())
    }

    /// When the last answer came.
    pub fn last(&self) -> Instant {
        self.lock().answered
    }
}

/// A question that is not answered yet.
pub struct Question<'a>(&'a Answers);

impl Question<'_> {
    /// A part of the answer came; the rest is outstanding from now on.
    pub fn progressed(&self) {
        let mut state = self.0.lock();
        state.answered = Instant::now();
        state.asked = Some(state.answered);
    }

    /// The answer came.
    pub fn answered(self) {
        let mut state = self.0.lock();
        state.answered = Instant::now();
        state.asked = None;
    }
}

#[cfg(test)]
mod tests {
    use super::{Answers, Duration};

    #[test]
    fn only_an_answer_ends_the_silence() {
        let answers = Answers::default();
        assert_eq!(answers.silence(), None);
        let _ = answers.ask();
        let moment = Duration::from_millis(20);
        std::thread::sleep(moment);
        let question = answers.ask();
        assert!(answers.silence() >= Some(moment), "it began with the first question");
        question.answered();
        assert_eq!(answers.silence(), None);
    }
}
