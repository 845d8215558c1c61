// SPDX-License-Identifier: AGPL-3.0-only

package agent

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/signet-charm/signet/internal/juju"
	"github.com/signet-charm/signet/internal/memo"
	"github.com/signet-charm/signet/internal/provider"
)

// Values of the peer relation that hold private keys are sealed between decision and commit, and opened between
// snapshot and decision, so that the controller's database and other applications' units see ciphertext only, and the
// core sees plain values. The seal is AES-256-GCM with random nonces (NIST SP 800-38D, 8.2.2) under a key from an
// application owned Juju secret. A value that stands sealed already keeps its text: an unchanged world then commits
// nothing.

const sealedVersion = "v1:"

var errSealBroken = errors.New("the sealed value is damaged or was sealed under another key")

type sealer struct {
	aead  cipher.AEAD // puts its nonce before what it seals
	place string      // model and application, so that a value cannot be moved
}

// newSealer derives from the secret's content; false when there is none to read.
func newSealer(snap juju.Snapshot, content map[string]string) (*sealer, bool, error) {
	text := content[provider.SealMember]
	if text == "" {
		return nil, false, nil
	}
	material, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(material) != sha256.Size {
		return nil, false, fmt.Errorf("cannot use secret %s: its member %s is not 32 bytes in base64", provider.SealLabel, provider.SealMember)
	}
	key, err := hkdf.Key(sha256.New, material, nil, "signet peer relation seal v1", sha256.Size)
	if err != nil {
		return nil, false, fmt.Errorf("cannot derive the seal's key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, false, fmt.Errorf("cannot make the seal: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, false, fmt.Errorf("cannot make the seal: %w", err)
	}
	place := snap.ModelUUID + "/" + snap.Application() + "/"
	return &sealer{aead, place}, true, nil
}

// seal gives the sealed text of a value: the standing one where that is of the same value.
func (s *sealer) seal(key, plain, standing string) string {
	if held, err := s.open(key, standing); err == nil && held == plain {
		return standing
	}
	box := s.aead.Seal(nil, nil, []byte(plain), []byte(s.place+key)) //nolint:gosec // it makes its nonce itself and takes none
	return sealedVersion + base64.StdEncoding.EncodeToString(box)
}

func (s *sealer) open(key, sealed string) (string, error) {
	text, found := strings.CutPrefix(sealed, sealedVersion)
	raw, err := base64.StdEncoding.DecodeString(text)
	if !found || err != nil {
		return "", errSealBroken
	}
	plain, err := s.aead.Open(nil, nil, raw, []byte(s.place+key))
	if err != nil {
		return "", errSealBroken
	}
	return string(plain), nil
}

// opener opens the values of the peer relation, each of them once.
type opener struct {
	material string // the seal's secret, by which all was opened that is known
	opened   memo.Of[sealed, string]
}

// sealed is a value of the peer relation as it stands there.
type sealed struct{ key, value string }

// open gives the snapshot with the sealed values of its peer relation opened. A value that cannot be opened stays as
// it is, and counts as unreadable in the core; so does a secret that is no key, with the reason why.
func open(snap juju.Snapshot) (juju.Snapshot, error) { return new(opener).open(snap) }

func (o *opener) open(snap juju.Snapshot) (juju.Snapshot, error) {
	secret, _ := snap.Secret(provider.SealLabel)
	sealer, found, err := newSealer(snap, secret.Content)
	if err != nil {
		snap.Secrets = slices.Clone(snap.Secrets)
		for i := range snap.Secrets {
			if snap.Secrets[i].Label == provider.SealLabel {
				snap.Secrets[i].Content = nil
			}
		}
		return snap, err
	}
	if !found {
		return snap, nil
	}
	if material := secret.Content[provider.SealMember]; material != o.material {
		o.material, o.opened = material, memo.Of[sealed, string]{}
	}
	defer o.opened.Pass()
	snap.Relations = slices.Clone(snap.Relations)
	for i, relation := range snap.Relations {
		if relation.Endpoint.Role != juju.Peers {
			continue
		}
		bag := maps.Clone(relation.OwnApp)
		for key, value := range bag {
			if !strings.HasPrefix(key, provider.SealedPrefix) {
				continue
			}
			bag[key] = o.opened.Get(sealed{key, value}, func() string {
				plain, err := sealer.open(key, value)
				if err != nil {
					return value
				}
				return plain
			})
		}
		snap.Relations[i].OwnApp = bag
	}
	return snap, nil
}

// seal gives the changes with the values sealed that must not be readable in the peer relation.
func seal(snap juju.Snapshot, changes juju.Changes) (juju.Changes, error) {
	peers, found := snap.Peers()
	if !found || !slices.ContainsFunc(changes.Relations, func(c juju.RelationChange) bool { return c.ID == peers.ID }) {
		return changes, nil
	}
	secret, _ := snap.Secret(provider.SealLabel)
	for _, made := range changes.Secrets {
		if made.Label == provider.SealLabel {
			secret = made
		}
	}
	sealer, usable, err := newSealer(snap, secret.Content)
	if err != nil {
		return juju.Changes{}, err
	}
	changes.Relations = slices.Clone(changes.Relations)
	for i, change := range changes.Relations {
		if change.ID != peers.ID {
			continue
		}
		bag := maps.Clone(change.App)
		for key, value := range bag {
			if !strings.HasPrefix(key, provider.SealedPrefix) || value == "" {
				continue
			}
			if !usable {
				return juju.Changes{}, fmt.Errorf("cannot seal %s: there is no readable secret %s", key, provider.SealLabel)
			}
			bag[key] = sealer.seal(key, value, peers.OwnApp[key])
		}
		changes.Relations[i].App = bag
	}
	return changes, nil
}
