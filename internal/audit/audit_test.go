// SPDX-License-Identifier: AGPL-3.0-only

package audit_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/audit"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/ledger"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func checkpoint() audit.Checkpoint {
	return audit.Checkpoint{Unit: "signet/0", Model: "2f8f1a6c-uuid", Lines: 12, Sum: strings.Repeat("0a", 32), Time: noon}
}

// authority is a CA under a key.
func authority(t require.TestingT, key crypto.Signer) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: noon, NotAfter: noon.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return certificate
}

func generate(t require.TestingT, keyType cert.KeyType) crypto.Signer {
	key, err := keyType.Generate(rand.Reader)
	require.NoError(t, err)
	return key
}

func TestACheckpointIsVerifiedByItsCAOnly(t *testing.T) {
	t.Parallel()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	other := authority(t, generate(t, cert.P256))
	for name, key := range map[string]crypto.Signer{
		"P-256": generate(t, cert.P256), "P-384": generate(t, cert.P384), "RSA": generate(t, cert.RSA2048), "Ed25519": edwards,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := authority(t, key)
			text, err := audit.Sign(checkpoint(), ca, key, rand.Reader)
			require.NoError(t, err)
			require.NotContains(t, text, "\n")
			read, err := audit.Parse(text)
			require.NoError(t, err)
			require.True(t, read.VerifiedBy(ca))
			require.False(t, read.VerifiedBy(other))
			want := checkpoint()
			want.Key = read.Key
			require.Equal(t, want, read.Checkpoint)
			for from, to := range map[string]string{"lines=12": "lines=13", "signet/0": "signet/1", "=0a": "=0b", "12:00": "13:00", "2f8f": "2f8e"} {
				changed, err := audit.Parse(strings.Replace(text, from, to, 1))
				require.NoError(t, err)
				require.False(t, changed.VerifiedBy(ca), to)
			}
		})
	}
}

// What is signed can be nothing else that a CA signs: both begin differently.
func TestACheckpointIsNoCertificate(t *testing.T) {
	t.Parallel()
	key := generate(t, cert.P256)
	ca := authority(t, key)
	text, err := audit.Sign(checkpoint(), ca, key, rand.Reader)
	require.NoError(t, err)
	read, err := audit.Parse(text)
	require.NoError(t, err)
	body, _, _ := strings.Cut(text, " signature=")
	digest := crypto.SHA256.New()
	digest.Write([]byte(body)) // without what sets checkpoints apart
	signature, err := key.Sign(rand.Reader, digest.Sum(nil), crypto.SHA256)
	require.NoError(t, err)
	forged, err := audit.Parse(body + " signature=" + base64.StdEncoding.EncodeToString(signature))
	require.NoError(t, err)
	require.True(t, read.VerifiedBy(ca))
	require.False(t, forged.VerifiedBy(ca))
}

func TestAKeyThatIsNotTheCAsSignsNothing(t *testing.T) {
	t.Parallel()
	_, err := audit.Sign(checkpoint(), authority(t, generate(t, cert.P256)), generate(t, cert.P256), rand.Reader)
	require.ErrorContains(t, err, "cannot verify the checkpoint")
	odd := checkpoint()
	odd.Unit = "signet/0 lines=1"
	key := generate(t, cert.P256)
	_, err = audit.Sign(odd, authority(t, key), key, rand.Reader)
	require.ErrorContains(t, err, "not the text of a checkpoint")
}

func TestCheckpointsAreFoundInALog(t *testing.T) {
	t.Parallel()
	key := generate(t, cert.P256)
	text, err := audit.Sign(checkpoint(), authority(t, key), key, rand.Reader)
	require.NoError(t, err)
	line, is := audit.Event("uuid-signet/0", ledger.Entry{Time: noon, Event: ledger.Checkpoint, Detail: text})
	require.True(t, is)
	found := audit.Find("unit-signet-0: 12:00:00 INFO unit.signet/0.juju-log " + line + "\noutput: " + text + "\nsignet-checkpoint-v1 unit=x\n")
	require.Len(t, found, 1)
	require.Equal(t, text, found[0].Text)
}

func TestAPartOfACheckpointHasItsLength(t *testing.T) {
	t.Parallel()
	key := generate(t, cert.P256)
	text, err := audit.Sign(checkpoint(), authority(t, key), key, rand.Reader)
	require.NoError(t, err)
	for sentence, field := range map[string]string{
		"an application's name is too long": "unit=" + strings.Repeat("a", 129) + "/0",
		"a unit's number is too long":       "unit=signet/1234567890",
		"a model is too long":               "model=" + strings.Repeat("a", 65),
		"the lines are too many":            "lines=12345678901",
		"a sum is too short":                "sum=" + strings.Repeat("a", 63),
		"a sum is too long":                 "sum=" + strings.Repeat("a", 65),
		"a key's hash is too short":         "key=" + strings.Repeat("a", 63),
		"a time is too long":                "time=2026-11-26T12:00:00ZZ",
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			name, _, _ := strings.Cut(field, "=")
			odd := regexp.MustCompile(name+"=[^ ]+").ReplaceAllLiteralString(text, field)
			require.NotEqual(t, text, odd)
			_, err := audit.Parse(odd)
			require.Error(t, err)
			require.Empty(t, audit.Find(odd))
			require.Len(t, audit.Find(odd+" "+text), 1)
		})
	}
}

// Each event has the name and the level that the vocabulary gives it.
func TestEventsAreWordsOfTheVocabulary(t *testing.T) {
	t.Parallel()
	asked := ledger.Entry{Time: noon, Relation: 3, App: "etcd", Unit: "etcd/0", Serial: "41aa", Item: "server", Reason: "why", Rule: "r1"}
	with := func(event ledger.Event, change func(*ledger.Entry)) ledger.Entry {
		entry := asked
		entry.Event = event
		if change != nil {
			change(&entry)
		}
		return entry
	}
	code := func(code string) func(*ledger.Entry) { return func(e *ledger.Entry) { e.Code, e.Rule = code, "" } }
	for sentence, c := range map[string]struct {
		entry ledger.Entry
		event string // empty for none
		level string
	}{
		"an order is none":                       {with(ledger.Ordered, nil), "", ""},
		"a reservation is none":                  {with(ledger.Reserved, nil), "", ""},
		"what others did is none":                {with(ledger.Issued, func(e *ledger.Entry) { e.Remembered = true }), "", ""},
		"a certificate":                          {with(ledger.Issued, nil), "authn_token_created:etcd/0,41aa", "INFO"},
		"a revocation":                           {with(ledger.Revoked, nil), "authn_token_revoked:etcd/0,41aa", "INFO"},
		"a certificate withdrawn":                {with(ledger.Withdrawn, nil), "authn_token_delete:etcd/0,41aa", "WARN"},
		"a certificate held":                     {with(ledger.Held, nil), "authn_token_reuse:etcd/0,41aa", "CRITICAL"},
		"a certificate that would be wrong":      {with(ledger.Refused, nil), "input_validation_fail:certificate,etcd/0", "WARN"},
		"a refusal by the policy":                {with(ledger.Denied, nil), "authz_fail:etcd/0,r1", "CRITICAL"},
		"a refusal by an option":                 {with(ledger.Denied, code("ca-not-allowed")), "authz_fail:etcd/0,ca-not-allowed", "CRITICAL"},
		"a refusal of what makes no sense":       {with(ledger.Denied, code("malformed")), "input_validation_fail:malformed,etcd/0", "WARN"},
		"a refusal of too much":                  {with(ledger.Denied, code("too-many")), "excess_rate_limit_exceeded:etcd/0,too-many", "WARN"},
		"a refusal of what was revoked":          {with(ledger.Denied, code("revoked")), "authn_token_reuse:etcd/0,revoked", "CRITICAL"},
		"a failure of the CA is none":            {with(ledger.Denied, code("not-signed")), "", ""},
		"a refusal of a whole relation":          {with(ledger.Denied, func(e *ledger.Entry) { e.Unit, e.App = "", "" }), "authz_fail:relation 3,r1", "CRITICAL"},
		"what would be refused":                  {with(ledger.Reported, nil), "authz_fail:etcd/0,r1", "WARN"},
		"a CA made":                              {ledger.Entry{Event: ledger.Authority, Generation: 1, After: "signing"}, "sensitive_create:signet,ca-1", "WARN"},
		"a CA that signs":                        {ledger.Entry{Event: ledger.Authority, Generation: 2, Before: "trusted", After: "signing"}, "sensitive_update:signet,ca-2", "WARN"},
		"a CA gone":                              {ledger.Entry{Event: ledger.Authority, Generation: 1, Before: "retiring", After: "withdrawn"}, "sensitive_delete:signet,ca-1", "WARN"},
		"an action":                              {ledger.Entry{Event: ledger.Action, Item: "revoke"}, "authz_admin:operator,revoke", "WARN"},
		"a name that would be another parameter": {with(ledger.Denied, func(e *ledger.Entry) { e.Unit = "a,b:c" }), "authz_fail:a_b_c,r1", "CRITICAL"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			line, is := audit.Event("uuid-signet/0", c.entry)
			require.Equal(t, c.event != "", is)
			if !is {
				return
			}
			var found map[string]string
			require.NoError(t, json.Unmarshal([]byte(line), &found))
			require.Equal(t, c.event, found["event"])
			require.Equal(t, c.level, found["level"])
			require.Equal(t, "security", found["type"])
			require.Equal(t, "uuid-signet/0", found["appid"])
			require.NotEmpty(t, found["description"])
			_, err := time.Parse(time.RFC3339, found["datetime"])
			require.NoError(t, err)
		})
	}
}

func TestForeignTextIsShownAndObeyedByNobody(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a\nb\r\x1b[31mred\x00":  `a\nb\r\x1b[31mred\x00`,
		"evil\u202etxt.exe":      `evil\u202etxt.exe`,
		"line\u2028end\u0085":    `line\u2028end\u0085`,
		`say "hi" C:\dir`:        `say "hi" C:\dir`,
		"größer €":               "größer €",
		"\xff\xfe":               "\ufffd\ufffd",
		strings.Repeat("ä", 300): strings.Repeat("ä", 100) + "…",
	} {
		require.Equal(t, want, audit.Plain(text, 100))
	}
}

func FuzzCheckpoint(f *testing.F) {
	key := generate(f, cert.P256)
	ca := authority(f, key)
	text, err := audit.Sign(checkpoint(), ca, key, rand.Reader)
	require.NoError(f, err)
	f.Add(text)
	f.Add("x" + text + "\n" + text[:len(text)-4])
	f.Add(strings.Replace(text, "lines=12", "lines=9999999999", 1))
	f.Add("signet-checkpoint-v1 unit=a/0 model=- lines=1 sum= time= key= signature=====")
	f.Fuzz(func(t *testing.T, text string) {
		for _, found := range audit.Find(text) {
			require.Contains(t, text, found.Text)
			again, err := audit.Parse(found.Text)
			require.NoError(t, err)
			require.Equal(t, found, again)
			if found.VerifiedBy(ca) { // what verifies says what was signed
				want := checkpoint()
				want.Key = found.Key
				require.Equal(t, want, found.Checkpoint)
			}
		}
	})
}

func FuzzEvent(f *testing.F) {
	f.Add("denied", "etcd/0", "server certificate \"a\"", "why", "malformed", "r")
	f.Add("issued", "\u202e", "\n{}", "\x1b[2J", "", "")
	f.Add("action", "", "revoke", "\xff", "", "pem=-----BEGIN")
	f.Fuzz(func(t *testing.T, event, unit, item, reason, code, detail string) {
		line, is := audit.Event("uuid-signet/0", ledger.Entry{
			Time: noon, Event: ledger.Event(event), Unit: unit, Item: item, Reason: reason, Code: code, Subject: item, Before: unit, After: reason,
			Detail: detail, Serial: "41",
		})
		if !is {
			return
		}
		require.Less(t, len(line), 20000)
		require.True(t, utf8.ValidString(line))
		require.True(t, json.Valid([]byte(line)))
		if ledger.Event(event) == ledger.Checkpoint {
			return // its text is signet's own
		}
		for _, r := range line {
			require.True(t, unicode.IsGraphic(r), "%q in %q", r, line)
		}
	})
}
