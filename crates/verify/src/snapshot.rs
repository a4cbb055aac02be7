//! The tables, read once: all rows as of one commit, beside the job that goes on.

use super::late_acts::LateActs;
use super::lateness::LatenessEvidence;
use super::recount::{Places, TableMetadata};
use super::runs::Runs;
use super::state::Tally;
use super::{VerifyError, VerifyPlan};
use sink::{Database, Identity, Sink, unless_stopped};
use std::sync::atomic::AtomicBool;
use types::Restored;
use types::dead_letter::{self, OverflowKey, OverflowRange};
use types::offsets::{self, PartitionOffsets};
use types::outcome::Outcome;

/// The tables as of one commit.
pub(super) struct Snapshot {
    pub(super) commit_no: u64,
    pub(super) rows: Runs,
    pub(super) offsets: Vec<PartitionOffsets>,
    pub(super) dead_letters: Places,
    pub(super) overflow: Vec<(OverflowKey, OverflowRange)>,
    pub(super) lateness: LatenessEvidence,
    pub(super) late: LateActs,
    pub(super) outcome: Outcome,
}

impl Snapshot {
    pub(super) fn read(
        plan: &VerifyPlan,
        sink: &Database,
        identity: &Identity,
        stop: &AtomicBool,
    ) -> Result<Self, VerifyError> {
        let (mut rows, mut offsets) = (Runs::new(plan.memory), Vec::new());
        let (mut dead_letters, mut overflow) = (Places::new(), Vec::new());
        let (mut lateness, mut result) = (LatenessEvidence::default(), Ok(()));
        let (mut outcome, mut late) = (Outcome::default(), LateActs::default());
        let mut take = |Restored { table, row }: Restored| {
            let declared = &plan.tables[usize::from(table)];
            if declared.name == offsets::TABLE_NAME {
                offsets.extend(PartitionOffsets::of(&row));
            } else if declared.name == dead_letter::TABLE_NAME {
                dead_letters.extend(dead_letter::location(&row));
            } else if declared.name == dead_letter::OVERFLOW_TABLE_NAME {
                overflow.extend(OverflowRange::of(&row));
            }
            lateness.see(declared.name, &row);
            late.see(declared, &row);
            outcome.see(declared.name, &row);
            let key = (table, row[..declared.key].into());
            if result.is_ok() && plan.takes(&key) {
                result = rows.add(key, Tally::Row(row));
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let doing = "starting the connection";
        let runtime = runtime.map_err(|source| VerifyError::System { doing, source })?;
        let mut visit = |batch: Vec<Restored>| batch.into_iter().for_each(&mut take);
        let inspecting = unless_stopped(stop, sink.inspect(identity, &mut visit));
        let inspected = runtime.block_on(inspecting).ok_or(VerifyError::Stopped)??;
        result.map_err(VerifyError::Temporary)?;
        let commit_no = inspected.position.commit_no;
        Ok(Snapshot { commit_no, rows, offsets, dead_letters, overflow, lateness, late, outcome })
    }

    pub(super) fn metadata(&self) -> TableMetadata<'_> {
        let (dead_letters, offsets, lateness) = (&self.dead_letters, &self.offsets, &self.lateness);
        TableMetadata { dead_letters, offsets, lateness, late: &self.late }
    }
}
