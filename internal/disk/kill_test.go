// SPDX-License-Identifier: AGPL-3.0-only

package disk_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/ca/catest"
	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/disk"
	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/order"
)

// writerVariable makes this test program install one bundle after the other, until it is killed.
const writerVariable = "SIGNET_TEST_WRITER"

// issuerVariable makes it certify one order after the other, until it is killed.
const issuerVariable = "SIGNET_TEST_ISSUER"

// serialLength is that of a serial number in hexadecimal.
const serialLength = 34

// certify makes a CA, if there is none, and certifies without end: each order twice, which must give one certificate. It
// says which numbers it has given.
func certify(from string) error {
	folder, err := disk.Open(filepath.Join(from, "state"))
	if err != nil {
		return err
	}
	ctx, carrier := context.Background(), authority(folder)
	wanted := authorityOrder()
	wanted.NotBefore = time.Now().Add(-time.Hour).Truncate(24 * time.Hour)
	made := carrier.Carry(ctx, wanted)
	if made.Failure != nil {
		return made.Failure
	}
	begin := 0
	if err := folder.Journal().View(func(l *ledger.Ledger) { begin = l.Len() }); err != nil {
		return err
	}
	for n := begin / 2; ; n++ {
		next := catest.ServerOrder(order.Signer{Authority: made.Authority})
		next.For = fmt.Sprintf("number %d", n)
		next.Spec.CommonName = fmt.Sprintf("number-%d.example.com", n)
		next.Spec.Names = cert.Names{DNS: []string{next.Spec.CommonName}}
		for range 2 {
			answer := carrier.Carry(ctx, next)
			if answer.Failure != nil {
				return answer.Failure
			}
			fmt.Println(answer.Serial)
		}
	}
}

func TestMain(m *testing.M) {
	if from := os.Getenv(writerVariable); from != "" {
		err := alternate(from)
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if from := os.Getenv(issuerVariable); from != "" {
		fmt.Fprintln(os.Stderr, certify(from))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// alternate installs two pairs in turn, and says so after each.
func alternate(from string) error {
	folder, err := disk.Open(filepath.Join(from, "state"))
	if err != nil {
		return err
	}
	var bundles []order.Install
	for _, name := range []string{"one", "two"} {
		certificate, certErr := os.ReadFile(filepath.Join(from, name+".crt"))
		key, keyErr := os.ReadFile(filepath.Join(from, name+".key"))
		if certErr != nil || keyErr != nil {
			return fmt.Errorf("%w %w", certErr, keyErr)
		}
		bundles = append(bundles, bundle("", order.File{Name: "server.crt", Text: string(certificate)},
			order.File{Name: "server.key", Key: cert.NewKey(string(key))}))
	}
	for n := 0; ; n++ {
		if answer := folder.Carry(context.Background(), bundles[n%2]); answer.Failure != nil {
			return answer.Failure
		}
		fmt.Println("installed", n)
	}
}

// A process that swaps pairs without a pause is killed (SIGKILL) again and again. Whoever opens the folder behind the
// link finds a certificate and its own key, at every instant; the next process goes on from there.
func TestKeyAndCertificateAgreeUnderKill(t *testing.T) {
	t.Parallel()
	kills := killsFromEnvironment(t)
	from := private(t)
	for _, name := range []string{"one", "two"} {
		key := newKey(t)
		require.NoError(t, os.WriteFile(filepath.Join(from, name+".crt"), []byte(selfSigned(t, key)), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(from, name+".key"), []byte(key.Reveal()), 0o600))
	}
	link := filepath.Join(from, "state", "files", "certificates")
	looked := 0
	for round := range kills {
		writer := exec.Command(os.Args[0])
		writer.Env = append(os.Environ(), writerVariable+"="+from)
		output, err := writer.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, writer.Start())
		lines := bufio.NewScanner(output)
		for range 1 + round%4 { // it is killed at another point each time
			require.True(t, lines.Scan(), "the writer goes on where the one before it was killed")
			if agrees(t, link) {
				looked++
			}
		}
		for range round * 7 {
			if agrees(t, link) {
				looked++
			}
		}
		require.NoError(t, writer.Process.Kill())
		_ = writer.Wait()
		require.True(t, agrees(t, link), "nobody writes now")
	}
	require.Greater(t, looked, kills)
	t.Logf("%d writers were killed", kills)
}

// killsFromEnvironment is SIGNET_KILLS, which other packages read too.
func killsFromEnvironment(t *testing.T) int {
	t.Helper()
	text := os.Getenv("SIGNET_KILLS")
	if text == "" {
		return 13
	}
	kills, err := strconv.Atoi(text)
	require.NoError(t, err)
	return kills
}

// A process that certifies without a pause is killed again and again. What it said it has issued is in the journal, no
// order was met twice and no number used twice, and the next process goes on from there.
func TestWhatWasIssuedIsInTheJournalUnderKill(t *testing.T) {
	t.Parallel()
	kills := killsFromEnvironment(t)
	from := private(t)
	said := map[string]bool{}
	for round := range kills {
		issuer := exec.Command(os.Args[0])
		issuer.Env = append(os.Environ(), issuerVariable+"="+from)
		output, err := issuer.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, issuer.Start())
		lines := bufio.NewScanner(output)
		for range 1 + round%5 {
			require.True(t, lines.Scan(), "the issuer goes on where the one before it was killed")
			said[lines.Text()] = true
		}
		<-time.After(time.Duration(round%7) * 300 * time.Microsecond) // into the next one, at another point each time
		require.NoError(t, issuer.Process.Kill())
		for lines.Scan() { // what it had said already; the last line may be cut off
			if len(lines.Text()) == serialLength {
				said[lines.Text()] = true
			}
		}
		_ = issuer.Wait()
	}
	folder := open(t, filepath.Join(from, "state"))
	orders, serials := map[string]bool{}, map[string]bool{}
	require.NoError(t, folder.Journal().View(func(l *ledger.Ledger) {
		for _, entry := range l.Entries() {
			if entry.Event == ledger.Issued {
				require.False(t, orders[entry.Order], "%s is met twice", entry.Order)
				require.False(t, serials[entry.Serial], "%s is used twice", entry.Serial)
				orders[entry.Order], serials[entry.Serial] = true, true
			}
		}
	}))
	for serial := range said {
		require.True(t, serials[serial], "%s was issued, and no journal knows it", serial)
	}
	require.GreaterOrEqual(t, len(said), kills)
	t.Logf("%d issuers were killed, %d certificates issued, %d of them said", kills, len(serials), len(said))
}

// agrees opens the folder behind the link and reads the pair in it; false when it was pruned meanwhile, as a later one is
// in its place.
func agrees(t *testing.T, link string) bool {
	folder, err := os.OpenRoot(link)
	if os.IsNotExist(err) {
		_, err := os.Lstat(link)
		require.NoError(t, err, "there is always one")
		return false
	}
	require.NoError(t, err)
	defer folder.Close()
	certificate, certErr := folder.ReadFile("server.crt")
	key, keyErr := folder.ReadFile("server.key")
	if os.IsNotExist(certErr) || os.IsNotExist(keyErr) {
		return false
	}
	require.NoError(t, certErr)
	require.NoError(t, keyErr)
	leaf, err := cert.Parse(strings.TrimSpace(string(certificate)))
	require.NoError(t, err)
	require.True(t, cert.KeyMatches(cert.NewKey(string(key)), leaf))
	return true
}
