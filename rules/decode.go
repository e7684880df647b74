package rules

import (
	"fmt"
	"math"
	"slices"
)

// Decode replaces the state with the one stored in blob, of which it keeps a
// copy. The error says why the bytes are not a state; the state is then empty.
func (st *State) Decode(blob []byte) error {
	st.Reset()
	st.buf = append(st.buf, blob...)
	r := reader{b: st.buf}
	if err := st.decode(&r); err != nil {
		st.Reset()
		return err
	}
	return nil
}

func (st *State) decode(r *reader) error {
	v := r.byte()
	if r.err == nil && (v < firstVersion || v > stateVersion) {
		return fmt.Errorf("stored state has version %d, this program reads versions %d to %d: it was written by another version of nudged", v, firstVersion, stateVersion)
	}
	r.version = v
	st.newest = r.varint()
	sections := r.uvarint()
	if sections&^uint64(knownSections) != 0 {
		return fmt.Errorf("stored state has unknown sections %#x: it was written by a newer version of nudged", sections)
	}
	if sections&hasHint != 0 {
		st.hints = append(st.hints, st.newest+r.varint())
	}
	if sections&hasRecent != 0 {
		st.recent = append(st.recent, r.take(r.count(idBytes)*idBytes)...)
	}
	if sections&hasAttrs != 0 {
		for range r.count(5) {
			st.attrs = append(st.attrs, attrState{r.id(), r.value()})
		}
	}
	if sections&hasMetrics != 0 {
		for range r.count(6) {
			st.decodeMetric(r)
		}
	}
	if sections&hasSent != 0 {
		st.sent = st.decodeTimes(r, st.sent)
	}
	if sections&hasPending != 0 {
		for range r.count(8) {
			st.decodeInstance(r)
		}
	}
	if sections&hasSends != 0 {
		for range r.count(10) {
			st.decodeSends(r)
		}
	}
	if sections&hasExposures != 0 {
		for range r.count(5) {
			st.exposures = append(st.exposures, st.decodeExposure(r))
		}
	}
	if sections&hasSwept != 0 {
		st.swept = st.decodeTimes(r, st.swept)
	}
	if sections&hasHints != 0 {
		if len(st.hints) == 0 {
			r.fail()
		}
		for range r.count(1) {
			st.hints = append(st.hints, st.hints[len(st.hints)-1]+int64(r.uvarint()&math.MaxInt64))
		}
		slices.Reverse(st.hints)
	}
	if r.err == nil && len(r.b) != 0 {
		return fmt.Errorf("stored state has %d bytes after its end", len(r.b))
	}
	return r.err
}

func (st *State) decodeTimes(r *reader, dst []ruleTime) []ruleTime {
	for range r.count(5) {
		dst = append(dst, ruleTime{r.id(), st.newest - r.varint()})
	}
	return dst
}

func (st *State) decodeSends(r *reader) {
	l := st.logOf(r.id(), r.id())
	base := len(l.times)
	at := st.newest
	for i := range r.count(1) {
		if i == 0 {
			at -= r.varint()
		} else {
			at -= int64(r.uvarint() & math.MaxInt64)
		}
		l.times = append(l.times, at)
	}
	slices.Reverse(l.times[base:])
}

func (st *State) decodeExposure(r *reader) exposure {
	e := exposure{experiment: r.id()}
	head := r.uvarint()
	shift := exposurePhase
	if r.version >= watchedVersion {
		shift = watchedPhase
		e.watched = head&exposureWatched != 0
	}
	e.phase = int(head >> shift & math.MaxInt32)
	e.over, e.converted = head&exposureOver != 0, head&exposureConverted != 0
	if !e.over {
		e.rule, e.arm = r.id(), r.string()
		e.t = st.newest - r.varint()
	}
	if e.watched && !e.over {
		for range r.count(4) {
			e.hits = append(e.hits, r.id())
		}
	}
	return e
}

func (st *State) decodeMetric(r *reader) {
	id, kind := r.id(), r.byte()
	if k := MetricKind(kind &^ keyedMetric); k < Count || k > Latest || r.version == firstVersion && k > Last {
		r.fail()
		return
	}
	ms := st.metricFor(&Metric{ID: id, Kind: MetricKind(kind &^ keyedMetric), Keyed: kind&keyedMetric != 0})
	n := r.count(1)
	base := len(ms.points)
	at := st.newest
	for range n {
		head := r.uvarint()
		p := point{t: at - int64(head>>1), n: 1}
		if head&1 != 0 {
			p.n = int64(r.uvarint() & math.MaxInt64)
		}
		switch {
		case ms.hasKeys():
			p.key = r.uint48()
		case ms.kind == Sum:
			p.key = math.Float64bits(r.number())
		}
		at = p.t
		ms.points = append(ms.points, p)
	}
	slices.Reverse(ms.points[base:]) // they come newest first
	if ms.kind == Latest {
		ms.value = r.value()
	}
}

func (st *State) decodeInstance(r *reader) {
	in := st.addInstance()
	in.rule = r.id()
	flags := r.byte()
	if flags&^knownFlags != 0 {
		r.fail()
		return
	}
	in.Due = st.newest + r.varint()
	if flags&instanceKey != 0 {
		in.Key = r.string()
	}
	if flags&instancePos != 0 {
		in.Pos = int(r.uvarint() & math.MaxInt32)
	}
	if flags&instanceArm != 0 {
		in.run = assignment{experiment: r.id(), phase: int(r.uvarint() & math.MaxInt32), arm: r.string()}
	}
	in.sent = flags&instanceSent != 0
	t := &in.Trigger
	if flags&instanceScheduled != 0 {
		t.Time = st.newest - r.varint()
		*t = scheduledTrigger(t.Time, int32(r.uvarint()&math.MaxInt32))
		return
	}
	if flags&instanceTypeText != 0 {
		t.typ = r.string()
	} else {
		t.typeID = r.id()
	}
	t.ID = r.string()
	t.Time = st.newest - r.varint()
	t.Partition = int32(r.uvarint() & math.MaxInt32)
	t.Offset = int64(r.uvarint() & math.MaxInt64)
	if flags&instanceTrace != 0 {
		t.Trace = r.string()
	}
	if flags&instanceFields != 0 {
		for range r.count(5) {
			t.Fields = append(t.Fields, TriggerField{r.id(), r.value()})
		}
	}
}

// addInstance appends an empty instance, reusing the memory of an earlier one.
func (st *State) addInstance() *Instance {
	n := len(st.instances)
	if n == cap(st.instances) {
		st.instances = append(st.instances, Instance{})
	} else {
		st.instances = st.instances[:n+1]
	}
	in := &st.instances[n]
	*in = Instance{Trigger: Trigger{Fields: in.Trigger.Fields[:0]}}
	return in
}
