package processor

import (
	"encoding/hex"

	"github.com/nudged/nudged/sinks"
)

// TraceparentHeader carries the trace context of a record, after
// https://www.w3.org/TR/trace-context/.
const TraceparentHeader = "traceparent"

// What rules.Event.Trace holds: "" if the record has no trace context,
// TraceUnsampled if it has one that is not sampled, else the 16 bytes of the trace
// id and the 8 of the span id.
const (
	TraceUnsampled = "-"
	traceLen       = 24
)

// traceOf reads the trace context of a record.
func traceOf(headers []sinks.Header) string {
	for i := range headers {
		if headers[i].Key == TraceparentHeader {
			return parseTrace(headers[i].Value)
		}
	}
	return ""
}

// parseTrace reads "<version>-<trace id>-<span id>-<flags>". What is no such
// thing is as good as absent.
func parseTrace(v []byte) string {
	const versionLen, traceEnd, spanEnd, all = 2, 35, 52, 55
	if len(v) < all || len(v) > all && (v[all] != '-' || string(v[:2]) == "00") || v[versionLen] != '-' || v[traceEnd] != '-' || v[spanEnd] != '-' ||
		string(v[:2]) == "ff" {
		return ""
	}
	flags, ok := hexDigit(v[all-1])
	if !ok {
		return ""
	}
	if flags&1 == 0 {
		return TraceUnsampled
	}
	var id [traceLen]byte
	if _, err := hex.Decode(id[:16], v[versionLen+1:traceEnd]); err != nil {
		return ""
	}
	if _, err := hex.Decode(id[16:], v[traceEnd+1:spanEnd]); err != nil {
		return ""
	}
	if [16]byte(id[:16]) == [16]byte{} || [8]byte(id[16:]) == [8]byte{} {
		return ""
	}
	return string(id[:])
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
