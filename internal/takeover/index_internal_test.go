// SPDX-License-Identifier: AGPL-3.0-only

package takeover

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/cert"
)

func TestIndexLines(t *testing.T) {
	t.Parallel()
	end, at := time.Date(2029, 2, 25, 12, 1, 20, 0, time.UTC), time.Date(2026, 11, 26, 2, 0, 58, 0, time.UTC)
	revoked := func(reason cert.Reason) []cert.Revocation {
		return []cert.Revocation{{Serial: "1a", Time: at, Reason: reason}}
	}
	for sentence, c := range map[string]struct {
		line    string
		revoked []cert.Revocation
		end     time.Time
	}{
		"valid":                       {"V\t290225120120Z\t\t1A\tunknown\t/CN=x", nil, end},
		"expired":                     {"E\t290225120120Z\t\t1A\tunknown\t/CN=x", nil, end},
		"revoked":                     {"R\t290225120120Z\t261126020058Z\t1A\tunknown\t/CN=x", revoked(cert.Unspecified), end},
		"with a reason":               {"R\t290225120120Z\t261126020058Z,CACompromise\t1A\tunknown\t/CN=x", revoked(cert.CACompromise), end},
		"superseded":                  {"R\t290225120120Z\t261126020058Z,superseded\t1A\tunknown\t/CN=x", revoked(cert.Superseded), end},
		"on hold":                     {"R\t290225120120Z\t261126020058Z,certificateHold\t1A\tunknown\t/CN=x", revoked(cert.Unspecified), end},
		"on hold with instructions":   {"R\t290225120120Z\t261126020058Z,holdInstruction,1.2.3\t1A\tunknown\t/CN=x", revoked(cert.Unspecified), end},
		"with a moment":               {"R\t290225120120Z\t261126020058Z,keyTime,20260101000000Z\t1A\tunknown\t/CN=x", revoked(cert.KeyCompromise), end},
		"with a moment of the CA's":   {"R\t290225120120Z\t261126020058Z,CAkeyTime,20260101000000Z\t1A\tunknown\t/CN=x", revoked(cert.CACompromise), end},
		"with long times":             {"R\t20290225120120Z\t20261126020058Z\t1A\tunknown\t/CN=x", revoked(cert.Unspecified), end},
		"with zeros and small digits": {"V\t290225120120Z\t\t001a\tunknown\t/CN=x", nil, end},
		"with CRLF":                   {"V\t290225120120Z\t\t1A\tunknown\t/CN=x\r", nil, end},
		"with a tab in the name":      {"V\t290225120120Z\t\t1A\tunknown\t/CN=x\\\ty", nil, end},
		"until 2049":                  {"V\t491231235959Z\t\t1A\tunknown\t/CN=x", nil, time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)},
		"since 1950":                  {"V\t500101000000Z\t\t1A\tunknown\t/CN=x", nil, time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			read, err := parseIndex("# openssl\n\n" + c.line + "\n")
			require.NoError(t, err)
			require.Equal(t, index{revoked: c.revoked, ends: map[string]time.Time{"1a": c.end}}, read)
		})
	}
}

func TestIndexLinesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct{ line, want string }{
		"too short":                {"V\t290225120120Z\t\t1A\tunknown", "it has 5 fields instead of 6"},
		"no status":                {"\t290225120120Z\t\t1A\tunknown\t/", `the status "" is none of V, R and E`},
		"another status":           {"S\t290225120120Z\t\t1A\tunknown\t/", `the status "S" is none of V, R and E`},
		"no end":                   {"V\t\t\t1A\tunknown\t/", `the time "" is not YYMMDDHHMMSSZ`},
		"no such day":              {"V\t290231120120Z\t\t1A\tunknown\t/", `the time "290231120120Z" is not`},
		"parts of a second":        {"V\t20290225120120.5Z\t\t1A\tunknown\t/", `the time "20290225120120.5Z" is not`},
		"valid and yet revoked":    {"V\t290225120120Z\t261126020058Z\t1A\tunknown\t/", "the status is V, and yet it was revoked"},
		"revoked at no time":       {"R\t290225120120Z\t\t1A\tunknown\t/", `the time "" is not`},
		"an unknown reason":        {"R\t290225120120Z\t261126020058Z,boredom\t1A\tunknown\t/", `the reason "boredom" is not one that openssl writes`},
		"no serial number":         {"V\t290225120120Z\t\t\tunknown\t/", `the serial number "" is not hexadecimal`},
		"a decimal one":            {"V\t290225120120Z\t\t12:34\tunknown\t/", `the serial number "12:34" is not hexadecimal`},
		"a negative one":           {"V\t290225120120Z\t\t-1A\tunknown\t/", `the serial number "-1A" is not hexadecimal`},
		"one that is far too long": {"V\t290225120120Z\t\t" + strings.Repeat("A", 65) + "\tunknown\t/", `the serial number "AAAAA`},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			_, err := parseIndex("V\t290225120120Z\t\t2B\tunknown\t/CN=y\n" + c.line + "\n")
			require.ErrorContains(t, err, "index.txt, line 2: "+c.want)
			require.ErrorContains(t, err, ": correct the line")
			require.Less(t, len(err.Error()), 250)
		})
	}
}

func FuzzIndex(f *testing.F) {
	f.Add("V\t290225120120Z\t\t1E4E8FD974BB349FDD549EA5ACE2BC15\tunknown\t/CN=requirer-0-0.lab\n")
	f.Add("R\t20501126020057Z\t261126020058Z,keyCompromise\t3B8C04\tunknown\t/CN=cli\r\nE\t490225120120Z\t\t02\tunknown\t/\n")
	f.Add("# comment\n\nR\t290225120120Z\t261126020058Z,holdInstruction,1.2.3\t1A\tunknown\t/CN=x\\\ty")
	f.Fuzz(func(t *testing.T, text string) {
		read, err := parseIndex(text)
		if err != nil {
			require.Empty(t, read)
			require.Less(t, len(err.Error()), 600)
			return
		}
		for _, r := range read.revoked {
			require.Contains(t, read.ends, r.Serial)
			require.Equal(t, time.UTC, r.Time.Location())
			require.Zero(t, r.Time.Nanosecond())
			reason, err := cert.ParseReason(string(r.Reason))
			require.NoError(t, err)
			require.Equal(t, r.Reason, reason)
			serial, err := parseSerial(r.Serial)
			require.NoError(t, err)
			require.Equal(t, r.Serial, serial)
		}
	})
}
