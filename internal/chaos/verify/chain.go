package verify

// checkChain proves by the marks that the records of an input partition are whole:
// that no batch is missing, none is there twice, none stands beside another of the
// same number, and that they lie in the topics in the order in which they were
// decided. It returns the records without those that are there again.
func checkChain(t *Topics, p int32, records []*record, f *Findings) []*record {
	records = withoutCopies(records, f)
	lastOffset := map[bool]int64{true: -1, false: -1}
	var before *record // the last record of the batch before
	for i := 0; i < len(records); {
		batch := records[i:]
		n := 1
		for n < len(batch) && batch[n].seq == batch[0].seq && batch[n].epoch == batch[0].epoch {
			n++
		}
		batch = batch[:n]
		i += n
		first := batch[0]
		previous := int64(0)
		if before != nil {
			previous = before.seq
			if first.seq == before.seq {
				f.problem("%s: batch %d of epoch %d is visible too: two histories", first.place(), before.seq, before.epoch)
			}
			if first.epoch < before.epoch {
				f.problem("%s: batch %d before it has the later epoch %d", first.place(), before.seq, before.epoch)
			}
		}
		if first.previous != previous {
			f.problem("%s: the batch with records before it is %d, it says %d", first.place(), previous, first.previous)
		}
		if int64(len(batch)) != first.count {
			f.problem("%s: %d of %d records of the batch are visible", first.place(), len(batch), first.count)
			f.Lost += max(0, int(first.count)-len(batch))
		}
		checkBatch(t, p, batch, before, lastOffset, f)
		before = batch[n-1]
	}
	if before != nil {
		if f.Newest == nil {
			f.Newest = map[int32]int64{}
		}
		f.Newest[p] = before.seq
	}
	return records
}

// checkBatch looks at each record of a batch.
func checkBatch(t *Topics, p int32, batch []*record, before *record, lastOffset map[bool]int64, f *Findings) {
	for j, r := range batch {
		if r.index != int64(j) || r.count != batch[0].count || r.previous != batch[0].previous {
			f.problem("%s: record %d of the batch, it says %d of %d after batch %d", r.place(), j, r.index, r.count, r.previous)
		}
		parts := t.DecisionParts
		if r.Send {
			parts = t.SendParts
		}
		if r.Output.Partition != p%parts {
			f.problem("%s: records of input partition %d belong into partition %d", r.place(), p, p%parts)
		}
		if r.Output.Offset <= lastOffset[r.Send] {
			f.problem("%s: what was decided before it lies behind it, at offset %d", r.place(), lastOffset[r.Send])
		}
		lastOffset[r.Send] = r.Output.Offset
		if before != nil && (r.clock < before.clock || r.decidedBefore < before.decidedBefore) {
			f.problem("%s: decided at offset %d, clock %d, after what was decided at offset %d, clock %d",
				r.place(), r.position, r.clock, before.position, before.clock)
		}
		before = r
	}
}

// withoutCopies counts records that are there more than once.
func withoutCopies(records []*record, f *Findings) []*record {
	var kept []*record
	for _, r := range records {
		if len(kept) > 0 {
			if k := kept[len(kept)-1]; k.epoch == r.epoch && k.seq == r.seq && k.index == r.index {
				f.Duplicated++
				f.problem("%s: visible twice, first at offset %d: %s", r.place(), k.Output.Offset, r.what())
				continue
			}
		}
		kept = append(kept, r)
	}
	return kept
}

// checkCommands proves that every command id is visible once, and beside its
// decision.
func checkCommands(records []*record, f *Findings) {
	seen := map[string]*record{}
	for i, r := range records {
		if !r.Send {
			f.count(r.Decision)
			if r.Decision == "sent" && (i == 0 || !records[i-1].Send || records[i-1].CommandID != r.CommandID) {
				f.problem("%s: no command before its decision: %s", r.place(), r.what())
			}
			continue
		}
		f.count("command")
		if first := seen[r.CommandID]; first != nil {
			f.Duplicated++
			f.problem("%s: the command is at %s already: %s", r.place(), first.place(), r.what())
		}
		seen[r.CommandID] = r
		if !r.byEvent {
			f.Lateness = append(f.Lateness, r.Appended-r.Due.UnixMilli())
		}
	}
}

// checkDead proves that each record that is no event has its one dead letter, and
// no other has one.
func checkDead(parts []history, dead []DeadLetter, f *Findings) {
	got := map[DeadLetter]int{}
	for _, d := range dead {
		got[d]++
		if got[d] > 1 {
			f.Duplicated++
			f.problem("input %d offset %d: %d dead letters", d.Partition, d.Offset, got[d])
		}
	}
	for p := range parts {
		for _, in := range parts[p].inputs {
			at := DeadLetter{in.Partition, in.Offset}
			switch {
			case in.bad && got[at] == 0:
				f.Lost++
				f.problem("input %d offset %d: no dead letter", at.Partition, at.Offset)
			case !in.bad && got[at] > 0:
				f.Extra++
				f.problem("input %d offset %d: a dead letter of an event", at.Partition, at.Offset)
			}
			delete(got, at)
		}
	}
	for d := range got {
		f.Extra++
		f.problem("input %d offset %d: a dead letter of what is not there", d.Partition, d.Offset)
	}
}
