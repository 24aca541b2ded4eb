package workload

import (
	"path/filepath"
	"testing"
	"time"

	"dms/e2e/history"
)

func TestAnOperationIsRepeatedUntilItsOutcomeIsKnown(t *testing.T) {
	for _, row := range []struct {
		name     string
		patience time.Duration
		deadline time.Time
		answers  []int // the last one again and again
		tries    int
		known    bool
	}{
		{"done at once", time.Hour, time.Time{}, []int{201}, 1, true},
		{"refused for good", time.Hour, time.Time{}, []int{400}, 1, true},
		{"done after a reset and an outage", time.Hour, time.Time{}, []int{0, 503, 201}, 3, true},
		{"asked to come again", time.Hour, time.Time{}, []int{429, 201}, 2, true},
		{"out of patience", time.Nanosecond, time.Time{}, []int{503}, 1, false},
		{"after the deadline", time.Hour, time.Now(), []int{0}, 1, false},
		{"without patience", 0, time.Time{}, []int{503}, fewTries, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			w, err := New(Plan{Patience: row.patience}, filepath.Join(t.TempDir(), "history"))
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			tries := 0
			status := w.caller(&tenant{}, "c").persist(history.Send, "q", row.deadline, func() int {
				answer := row.answers[min(tries, len(row.answers)-1)]
				tries++
				return answer
			})
			if last := row.answers[len(row.answers)-1]; status != last || tries != row.tries {
				t.Errorf("after %d tries the status is %d, want %d and %d", tries, status, row.tries, last)
			}
			all := w.Operations()
			if len(all) != 1 || all[0].Known != row.known || all[0].Tries != row.tries || all[0].Queue != "q" || all[0].Took() < 0 {
				t.Errorf("kept is %+v, want one operation with %d tries, known: %t", all, row.tries, row.known)
			}
		})
	}
}

func TestAClosedWorldCanBeClosedAgain(t *testing.T) {
	w, err := New(Plan{}, filepath.Join(t.TempDir(), "history"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}
