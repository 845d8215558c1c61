// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWindow(t *testing.T) {
	t.Parallel()
	monday := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for sentence, c := range map[string]struct {
		window string
		now    time.Time
		want   time.Time
	}{
		"always":                               {"", monday, monday},
		"later today":                          {"22:00-23:00", monday, monday.Add(10 * time.Hour)},
		"tomorrow":                             {"02:00-03:00", monday, monday.Add(14 * time.Hour)},
		"now":                                  {"11:00-13:00", monday, monday},
		"now, to the second":                   {"12:00-13:00", monday, monday},
		"just over":                            {"11:00-12:00", monday, monday.Add(23 * time.Hour)},
		"in one that began yesterday":          {"22:00-04:00", monday.Add(13 * time.Hour), monday.Add(13 * time.Hour)},
		"on another day":                       {"Sat,Sun 02:00-03:00", monday, monday.AddDate(0, 0, 4).Add(14 * time.Hour)},
		"on this day, a week later":            {"Mon 02:00-03:00", monday, monday.AddDate(0, 0, 6).Add(14 * time.Hour)},
		"after midnight of the day that began": {"Sun 22:00-13:00", monday, monday},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			window, err := parseWindow(c.window)
			require.NoError(t, err)
			require.Equal(t, c.want, window.next(c.now))
		})
	}
	for _, text := range []string{"soon", "25:00-26:00", "02:00", "02:00-02:00", "Someday 02:00-03:00", "Mon,02:00-03:00"} {
		_, err := parseWindow(text)
		require.ErrorContains(t, err, "is not a time of the day", text)
	}
}
