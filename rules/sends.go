package rules

import "slices"

func (st *State) lastSent(rule ID) (int64, bool) {
	for i := range st.sent {
		if st.sent[i].rule == rule {
			return st.sent[i].t, true
		}
	}
	return 0, false
}

func (st *State) setLastSent(rule ID, t int64) {
	for i := range st.sent {
		if st.sent[i].rule == rule {
			st.sent[i].t = max(st.sent[i].t, t)
			return
		}
	}
	st.sent = append(st.sent, ruleTime{rule, t})
}

// sendLog is when messages of a class went out through a channel, ascending, as
// far back as a cap looks.
type sendLog struct {
	class, channel ID
	times          []int64
}

// capIDs are class and channel of a cap, 0 for every.
type capIDs struct{ class, channel ID }

func (c capIDs) matches(class, channel ID) bool {
	return (c.class == 0 || c.class == class) && (c.channel == 0 || c.channel == channel)
}

// memory is how far back any cap looks at such messages, ms.
func (s *Set) memory(class, channel ID) int64 {
	longest := int64(0)
	for i, c := range s.caps {
		if c.matches(class, channel) {
			longest = max(longest, s.Policy.Caps[i].Per)
		}
	}
	return longest
}

// logSend notes a send if a cap counts it, and says whether one does.
func (st *State) logSend(s *Set, class, channel string, at int64) bool {
	cl, ch := nameID("class", class), nameID("channel", channel)
	memory := s.memory(cl, ch)
	if memory == 0 {
		return false
	}
	log := st.logOf(cl, ch)
	log.prune(st.newest - memory)
	i, _ := slices.BinarySearch(log.times, at)
	log.times = slices.Insert(log.times, i, at)
	return true
}

func (st *State) logOf(class, channel ID) *sendLog {
	for i := range st.sends {
		if l := &st.sends[i]; l.class == class && l.channel == channel {
			return l
		}
	}
	n := len(st.sends)
	if n == cap(st.sends) {
		st.sends = append(st.sends, sendLog{})
	} else {
		st.sends = st.sends[:n+1]
	}
	l := &st.sends[n]
	l.class, l.channel, l.times = class, channel, l.times[:0]
	return l
}

// prune drops what no cap looks at any more.
func (l *sendLog) prune(upTo int64) {
	i := 0
	for i < len(l.times) && l.times[i] <= upTo {
		i++
	}
	l.times = append(l.times[:0], l.times[i:]...)
}

// sentSince counts the sends after t that the cap counts.
func (st *State) sentSince(c capIDs, t int64) (n int) {
	for i := range st.sends {
		l := &st.sends[i]
		if !c.matches(l.class, l.channel) {
			continue
		}
		for j := len(l.times) - 1; j >= 0 && l.times[j] > t; j-- {
			n++
		}
	}
	return n
}
