// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
)

// operatorPrefix begins the names of files that an operator has laid in the trust store's folder. No unit is called so, and
// no turn removes them.
const operatorPrefix = "signet-operator-"

// TrustedFile is a CA certificate of signet's in the trust store's folder.
type TrustedFile struct {
	Path     string
	Owner    string // the unit that laid it: "signet-0"; "operator"
	Operator bool
	Subject  string
	NotAfter time.Time
	SHA256   string // of the certificate, in hexadecimal
	PEM      string
	Trouble  string // why it cannot be read
}

// TrustedFiles lists what signet, and operators by it, put into the trust store's folder of a machine.
func TrustedFiles(machine string) ([]TrustedFile, error) {
	dir := filepath.Join("/", machine, trustDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, trouble("list", dir, err)
	}
	var found []TrustedFile
	for _, entry := range entries {
		stem, isCertificate := strings.CutSuffix(entry.Name(), ".crt")
		owner, sum, named := cutLast(strings.TrimPrefix(stem, "signet-"), "-")
		if !isCertificate || !named || !strings.HasPrefix(stem, "signet-") || len(sum) != 16 || !isHex(sum) {
			continue
		}
		one := TrustedFile{Path: filepath.Join(dir, entry.Name()), Owner: owner, Operator: strings.HasPrefix(stem, operatorPrefix)}
		text, err := readFile(one.Path)
		if err == nil {
			one.PEM = string(text)
			if ca, err := cert.Parse(one.PEM); err == nil {
				one.Subject, one.NotAfter, one.SHA256 = ca.Subject.String(), ca.NotAfter.UTC(), hexSum(ca.Raw)
			} else {
				one.Trouble = "it holds no certificate"
			}
		} else {
			one.Trouble = "it cannot be read"
		}
		found = append(found, one)
	}
	return found, nil
}

func cutLast(text, separator string) (before, after string, found bool) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(separator):], true
}

// OperatorTrustPath is where an operator's CA certificate (PEM, one) would lie.
func OperatorTrustPath(machine, text string) string {
	return filepath.Join("/", machine, trustDir, operatorPrefix+hexSum([]byte(text))[:16]+".crt")
}

// LayTrusted lays an operator's CA certificate (PEM, one) in the trust store's folder; false when it lay there before.
func LayTrusted(machine, text string) (bool, error) {
	path, do := OperatorTrustPath(machine, text), System(Perform)
	if standing, err := readFile(path); err == nil && string(standing) == text {
		return false, nil
	}
	dir := filepath.Dir(path)
	if err := do.makeFolder(dir, 0o755); err != nil {
		return false, err
	}
	temporary := filepath.Join(dir, "."+filepath.Base(path)+temporarySuffix)
	if err := do.discard(temporary); err != nil {
		return false, err
	}
	return true, do.replace(path, temporary, []byte(text), 0o644)
}

// RemoveTrusted removes an operator's CA certificate from the trust store's folder.
func RemoveTrusted(path string) error {
	if !strings.HasPrefix(filepath.Base(path), operatorPrefix) {
		return fmt.Errorf("cannot remove %s: no operator laid it", path)
	}
	return System(Perform).remove(path)
}
