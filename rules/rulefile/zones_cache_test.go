package rulefile

import (
	"testing"
	"unsafe"
)

// Names of zones point into records and stored states, whose memory is used again.
// What is remembered must not change with it.
func TestZonesDoNotPointIntoTheirNames(t *testing.T) {
	memory := []byte("America/New_York")
	z := newZones()
	zone := z.find(unsafe.String(unsafe.SliceData(memory), len(memory)))
	if zone == nil {
		t.Fatal("the zone is not known")
	}
	copy(memory, "something other")
	if got := zone.String(); got != "America/New_York" {
		t.Errorf("the zone is called %q now", got)
	}
}
