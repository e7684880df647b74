package rules

import (
	"encoding/binary"
	"math"
	"slices"
)

// The stored form of a State, version 2, or 3 if it holds an exposure that is
// watched. Integers are varints (zigzag where
// they may be negative), times are distances from the newest event, which keeps
// them short. Sections that are empty are absent.
//
//	version   1 byte
//	newest    zigzag
//	sections  uvarint, bits below
//	hint      zigzag, due - newest, of the user's next timer index entry
//	recent    count, 6 bytes each
//	attrs     count, each: id (4 bytes), value
//	metrics   count, each: id, kind | 0x80 if keyed, points from the newest
//	          back: uvarint (distance << 1 | n > 1) [n] [6 bytes of key] [sum as
//	          a value]; of a Latest then the value
//	sent      count, each: id, zigzag newest - t
//	pending   count, each: id, flags, due - newest, [key], [position], [arm:
//	          experiment, phase, text], then of a trigger that a schedule made:
//	          newest - time, partition; of an event: type, trigger id,
//	          newest - time, partition, offset, [trace], [fields]
//	sends     count, each: class, channel, count, from the newest back: zigzag
//	          newest - t, then distances
//	exposures count, each: experiment, uvarint (phase << 2 | converted << 1 |
//	          over), unless over: rule, arm, zigzag newest - t; in version 3 the
//	          phase is shifted by 3, the third bit says that it is watched: then,
//	          unless over, follow the hits: count, ids
//	swept     count, each: id, zigzag newest - t
//	hints     count, of further entries each: how much later it is than the one before
//
// Version 1 had the sections up to pending, and of metrics counts and lasts. Its
// bytes mean the same here.
const firstVersion, plainVersion, watchedVersion, stateVersion = 1, 2, 3, 3

const (
	hasHint = 1 << iota
	hasRecent
	hasAttrs
	hasMetrics
	hasSent
	hasPending
	hasSends
	hasExposures
	hasSwept
	hasHints
	knownSections = 1<<iota - 1
)

const (
	instanceKey = 1 << iota
	instancePos
	instanceTypeText
	instanceFields
	instanceArm
	instanceSent
	instanceScheduled
	instanceTrace
	knownFlags = 1<<iota - 1
)

const (
	exposureOver = 1 << iota
	exposureConverted
	exposureWatched // in version 3 alone

	exposurePhase, watchedPhase = 2, 3 // the phase is shifted by so much
)

const keyedMetric = 0x80

// Append appends the stored form of the state to dst. What the set does not
// read any more, and what has left its window, is dropped on the way; that
// changes no later decision.
func (st *State) Append(dst []byte, s *Set) []byte {
	st.drop(s)
	sections := uint64(0)
	for bit, there := range [...]bool{
		len(st.hints) > 0, len(st.recent) > 0, len(st.attrs) > 0, len(st.metrics) > 0, len(st.sent) > 0,
		len(st.instances) > 0, len(st.sends) > 0, len(st.exposures) > 0, len(st.swept) > 0, len(st.hints) > 1,
	} {
		if there {
			sections |= 1 << bit
		}
	}
	version := byte(plainVersion)
	if slices.ContainsFunc(st.exposures, func(e exposure) bool { return e.watched }) {
		version = watchedVersion
	}
	dst = append(dst, version)
	dst = binary.AppendVarint(dst, st.newest)
	dst = binary.AppendUvarint(dst, sections)
	if len(st.hints) > 0 {
		dst = binary.AppendVarint(dst, st.TimerHint()-st.newest)
	}
	if len(st.recent) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(st.recent)/idBytes))
		dst = append(dst, st.recent...)
	}
	if len(st.attrs) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(st.attrs)))
		for i := range st.attrs {
			dst = appendID(dst, st.attrs[i].ID)
			dst = appendValue(dst, st.attrs[i].Value)
		}
	}
	if len(st.metrics) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(st.metrics)))
		for i := range st.metrics {
			dst = st.appendMetric(dst, &st.metrics[i])
		}
	}
	dst = st.appendTimes(dst, st.sent)
	if len(st.instances) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(st.instances)))
		for i := range st.instances {
			dst = st.appendInstance(dst, &st.instances[i])
		}
	}
	if len(st.sends) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(st.sends)))
		for i := range st.sends {
			dst = st.appendSends(dst, &st.sends[i])
		}
	}
	if len(st.exposures) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(st.exposures)))
		for i := range st.exposures {
			dst = st.appendExposure(dst, &st.exposures[i], version)
		}
	}
	dst = st.appendTimes(dst, st.swept)
	if n := len(st.hints); n > 1 {
		dst = binary.AppendUvarint(dst, uint64(n-1))
		for i := n - 2; i >= 0; i-- {
			dst = binary.AppendUvarint(dst, uint64(st.hints[i]-st.hints[i+1]))
		}
	}
	return dst
}

func (st *State) appendTimes(dst []byte, times []ruleTime) []byte {
	if len(times) == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(times)))
	for _, l := range times {
		dst = appendID(dst, l.rule)
		dst = binary.AppendVarint(dst, st.newest-l.t)
	}
	return dst
}

func (st *State) appendSends(dst []byte, l *sendLog) []byte {
	dst = appendID(appendID(dst, l.class), l.channel)
	dst = binary.AppendUvarint(dst, uint64(len(l.times)))
	at := st.newest
	for i := len(l.times) - 1; i >= 0; i-- {
		if i == len(l.times)-1 {
			// The clock may be ahead of the user's events.
			dst = binary.AppendVarint(dst, at-l.times[i])
		} else {
			dst = binary.AppendUvarint(dst, uint64(at-l.times[i]))
		}
		at = l.times[i]
	}
	return dst
}

func (st *State) appendExposure(dst []byte, e *exposure, version byte) []byte {
	head := uint64(e.phase) << exposurePhase
	if version == watchedVersion {
		head = uint64(e.phase) << watchedPhase
	}
	if e.watched {
		head |= exposureWatched
	}
	if e.over {
		head |= exposureOver
	}
	if e.converted {
		head |= exposureConverted
	}
	dst = appendID(dst, e.experiment)
	dst = binary.AppendUvarint(dst, head)
	if e.over {
		return dst
	}
	dst = appendID(dst, e.rule)
	dst = appendString(dst, e.arm)
	dst = binary.AppendVarint(dst, st.newest-e.t)
	if e.watched {
		dst = binary.AppendUvarint(dst, uint64(len(e.hits)))
		for _, id := range e.hits {
			dst = appendID(dst, id)
		}
	}
	return dst
}

func (st *State) appendMetric(dst []byte, ms *metricState) []byte {
	dst = appendID(dst, ms.id)
	kind := byte(ms.kind)
	if ms.keyed {
		kind |= keyedMetric
	}
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(len(ms.points)))
	at := st.newest
	for i := len(ms.points) - 1; i >= 0; i-- {
		p := ms.points[i]
		// A point is never newer than the newest event, nor than its successor.
		head := uint64(at-p.t) << 1
		if p.n != 1 {
			dst = binary.AppendUvarint(dst, head|1)
			dst = binary.AppendUvarint(dst, uint64(p.n))
		} else {
			dst = binary.AppendUvarint(dst, head)
		}
		switch {
		case ms.hasKeys():
			dst = appendUint48(dst, p.key)
		case ms.kind == Sum:
			dst = appendValue(dst, shortest(math.Float64frombits(p.key)))
		}
		at = p.t
	}
	if ms.kind == Latest {
		dst = appendValue(dst, ms.value)
	}
	return dst
}

// hasKeys says that the points of the metric are told apart.
func (ms *metricState) hasKeys() bool { return ms.keyed || ms.kind == Distinct }

// shortest writes a whole number as one: most sums of money are.
func shortest(f float64) Value {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return IntValue(int64(f))
	}
	return FloatValue(f)
}

func (st *State) appendInstance(dst []byte, in *Instance) []byte {
	t := &in.Trigger
	flags := byte(0)
	scheduled := t.isScheduled()
	for flag, there := range [...]bool{in.Key != "", in.Pos != 0, t.typeID == 0, len(t.Fields) > 0, in.run.arm != "", in.sent, scheduled, t.Trace != ""} {
		if there {
			flags |= 1 << flag
		}
	}
	dst = appendID(dst, in.rule)
	dst = append(dst, flags)
	dst = binary.AppendVarint(dst, in.Due-st.newest)
	if in.Key != "" {
		dst = appendString(dst, in.Key)
	}
	if in.Pos != 0 {
		dst = binary.AppendUvarint(dst, uint64(in.Pos))
	}
	if in.run.arm != "" {
		dst = appendID(dst, in.run.experiment)
		dst = binary.AppendUvarint(dst, uint64(in.run.phase))
		dst = appendString(dst, in.run.arm)
	}
	if scheduled {
		dst = binary.AppendVarint(dst, st.newest-t.Time)
		return binary.AppendUvarint(dst, uint64(t.Partition))
	}
	if t.typeID == 0 {
		dst = appendString(dst, t.typ)
	} else {
		dst = appendID(dst, t.typeID)
	}
	dst = appendString(dst, t.ID)
	dst = binary.AppendVarint(dst, st.newest-t.Time)
	dst = binary.AppendUvarint(dst, uint64(t.Partition))
	dst = binary.AppendUvarint(dst, uint64(t.Offset))
	if t.Trace != "" {
		dst = appendString(dst, t.Trace)
	}
	if len(t.Fields) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(t.Fields)))
		for i := range t.Fields {
			dst = appendID(dst, t.Fields[i].ID)
			dst = appendValue(dst, t.Fields[i].Value)
		}
	}
	return dst
}

func uint48(b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint16(b[4:]))<<32
}

func appendUint48(dst []byte, h uint64) []byte {
	return append(dst, byte(h), byte(h>>8), byte(h>>16), byte(h>>24), byte(h>>32), byte(h>>40))
}

func appendID(dst []byte, id ID) []byte { return binary.LittleEndian.AppendUint32(dst, uint32(id)) }

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendValue(dst []byte, v Value) []byte {
	dst = append(dst, byte(v.Kind))
	switch v.Kind {
	case Absent:
	case Bool:
		dst = append(dst, byte(v.num))
	case Int, Time:
		dst = binary.AppendVarint(dst, int64(v.num))
	case Float:
		dst = binary.LittleEndian.AppendUint64(dst, v.num)
	case String, JSON:
		dst = appendString(dst, v.str)
	}
	return dst
}
