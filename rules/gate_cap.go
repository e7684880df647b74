package rules

import (
	"strconv"
	"strings"
)

// gateCap holds back a message beyond what a cap allows in its window.
func gateCap(f *firing) Outcome {
	send := f.op.Send
	if send.Class == Transactional || len(f.set.caps) == 0 {
		return pass
	}
	class, channel := nameID("class", send.Class), nameID("channel", send.Channel)
	for i, ids := range f.set.caps {
		if !ids.matches(class, channel) {
			continue
		}
		c := &f.set.Policy.Caps[i]
		if n := f.st.sentSince(ids, f.clock()-c.Per); n >= c.Max {
			f.note("cap", StringValue(c.String()))
			f.note("count", IntValue(int64(n)))
			return Capped
		}
	}
	return pass
}

// String writes the cap in words: "2 per 1d of class ad".
func (c *Cap) String() string {
	text := strconv.Itoa(c.Max) + " per " + spanText(c.Per)
	if c.Class != "" {
		text += " of class " + c.Class
	}
	if c.Channel != "" {
		text += " through " + c.Channel
	}
	return text
}

// spanText writes a span of time as a rule file would: 1d12h.
func spanText(ms int64) string {
	if ms == 0 {
		return "0s"
	}
	var b strings.Builder
	for _, unit := range []struct {
		name string
		ms   int64
	}{{"d", dayMS}, {"h", 60 * minuteMS}, {"m", minuteMS}, {"s", 1000}, {"ms", 1}} {
		if n := ms / unit.ms; n > 0 {
			b.WriteString(strconv.FormatInt(n, 10) + unit.name)
			ms -= n * unit.ms
		}
	}
	return b.String()
}
