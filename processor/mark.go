package processor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MarkHeader is the header that every send and decision record carries.
const MarkHeader = "nudged-at"

// Cause says what made a record: an event, or the clock.
type Cause byte

// The causes.
const (
	ByEvent Cause = 'e'
	ByTimer Cause = 't'
)

// Mark is the value of MarkHeader: where in the history of an input partition a
// record was decided.
type Mark struct {
	Group string
	Input TopicPartition
	Epoch int64
	Seq   int64
	// Index and Count number the records of one batch, from 0.
	Index, Count int
	Previous     int64 // seq of the previous batch with records
	Cause        Cause
	// Position is the offset of the event that decided it (ByEvent), or the
	// offset below which all events had been applied (ByTimer).
	Position int64
	Clock    int64 // partition clock, ms
}

const markVersion = "n1;"

// markFields are the keys of the fields, each of them one letter.
const markFields = "gtesiqkoc"

// Append writes the header's value.
func (m *Mark) Append(dst []byte) []byte {
	dst = append(dst, markVersion...)
	dst = append(append(dst, "g="...), m.Group...)
	dst = append(append(dst, ";t="...), m.Input.Topic...)
	dst = strconv.AppendInt(append(dst, '/'), int64(m.Input.Partition), 10)
	dst = strconv.AppendInt(append(dst, ";e="...), m.Epoch, 10)
	dst = strconv.AppendInt(append(dst, ";s="...), m.Seq, 10)
	dst = strconv.AppendInt(append(dst, ";i="...), int64(m.Index), 10)
	dst = strconv.AppendInt(append(dst, '/'), int64(m.Count), 10)
	dst = strconv.AppendInt(append(dst, ";q="...), m.Previous, 10)
	dst = append(append(dst, ";k="...), byte(m.Cause))
	dst = strconv.AppendInt(append(dst, ";o="...), m.Position, 10)
	dst = strconv.AppendInt(append(dst, ";c="...), m.Clock, 10)
	return dst
}

// ParseMark reads what Append wrote.
func ParseMark(text string) (Mark, error) {
	var m Mark
	rest, ok := strings.CutPrefix(text, markVersion)
	if !ok {
		return m, fmt.Errorf("header %s does not begin with %q", MarkHeader, markVersion)
	}
	seen := 0 // bits, by place in markFields
	for field := range strings.SplitSeq(rest, ";") {
		key, value, _ := strings.Cut(field, "=")
		at := strings.Index(markFields, key)
		if len(key) != 1 || at < 0 {
			continue // of a later version
		}
		if seen&(1<<at) != 0 {
			return m, fmt.Errorf("header %s has the field %q twice", MarkHeader, key)
		}
		seen |= 1 << at
		if err := m.set(key, value); err != nil {
			return m, fmt.Errorf("header %s, field %q: %w", MarkHeader, field, err)
		}
	}
	for at := range len(markFields) {
		if seen&(1<<at) == 0 {
			return m, fmt.Errorf("header %s lacks the field %q", MarkHeader, markFields[at:at+1])
		}
	}
	return m, nil
}

func (m *Mark) set(key, value string) (err error) {
	switch key {
	case "g":
		m.Group = value
	case "t":
		i := strings.LastIndexByte(value, '/')
		if i < 0 {
			return errors.New("expected topic/partition")
		}
		p, perr := strconv.ParseUint(value[i+1:], 10, 31)
		m.Input, err = TopicPartition{value[:i], int32(p)}, perr
	case "e":
		m.Epoch, err = natural(value)
	case "s":
		m.Seq, err = natural(value)
	case "i":
		i, n, _ := strings.Cut(value, "/")
		if m.Index, err = strconv.Atoi(i); err == nil {
			m.Count, err = strconv.Atoi(n)
		}
		if err == nil && (m.Index < 0 || m.Index >= m.Count) {
			err = errors.New("expected a number from 0, then the count above it")
		}
	case "q":
		m.Previous, err = natural(value)
	case "k":
		if value != "e" && value != "t" {
			return errors.New("expected e or t")
		}
		m.Cause = Cause(value[0])
	case "o":
		m.Position, err = natural(value)
	case "c":
		m.Clock, err = strconv.ParseInt(value, 10, 64)
	}
	return err
}
