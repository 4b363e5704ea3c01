package sakuga

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	generationv1 "sakuga.dev/go/generation/v1"
)

const (
	// The most that the pictures of one job may have together, in bytes.
	maxPictureBytes = 1 << 30
	// The most pictures of one job.
	maxPictures = 1024
)

// Picture is one finished picture. Its checksum was compared with the server's.
type Picture struct {
	// Index is its index in the batch, from 0.
	Index int
	// Data is the PNG file.
	Data []byte
	// Info has its size, checksums and metadata. Info.Metadata.Request, sent again, draws the same picture on the same
	// device.
	Info *generationv1.ImageInfo
}

// Save writes the file.
func (p Picture) Save(path string) error { return os.WriteFile(path, p.Data, 0o644) }

// part is a picture as far as it has arrived.
type part struct {
	total uint64
	data  []byte
}

// assembler puts pictures together from their pieces, and rejects what does not fit.
type assembler struct {
	parts map[uint32]*part
}

func damaged(index uint32, format string, arguments ...any) error {
	return fmt.Errorf("%w: picture %d: %s", ErrDamaged, index, fmt.Sprintf(format, arguments...))
}

// add takes the next piece. With canFetch a picture whose beginning is missing is left out; it is fetched at the end.
func (a *assembler) add(chunk *generationv1.ImageChunk, canFetch bool) error {
	index := chunk.GetImageIndex()
	found := a.parts[index]
	if found == nil {
		if canFetch && chunk.GetOffset() > 0 {
			return nil
		}
		announced := chunk.GetTotalSize()
		for _, other := range a.parts {
			announced += other.total
		}
		if chunk.GetTotalSize() == 0 || len(a.parts) >= maxPictures || announced > maxPictureBytes {
			return damaged(index, "it is empty, or the server announced more than %d bytes", maxPictureBytes)
		}
		found = &part{total: chunk.GetTotalSize()}
		if a.parts == nil {
			a.parts = map[uint32]*part{}
		}
		a.parts[index] = found
	}
	have := uint64(len(found.data))
	if chunk.GetOffset() != have || chunk.GetTotalSize() != found.total || have+uint64(len(chunk.GetData())) > found.total {
		return damaged(index, "%d of %d bytes arrived, and the next piece does not continue them", have, found.total)
	}
	found.data = append(found.data, chunk.GetData()...)
	return nil
}

// finish checks the pictures against their descriptions. fetch reads those whose pieces are missing; it may be nil.
func (a *assembler) finish(images []*generationv1.ImageInfo, fetch func(index uint32) ([]byte, error)) ([]Picture, error) {
	if len(images) == 0 {
		return nil, fmt.Errorf("%w: the job is completed and has no picture", ErrProtocol)
	}
	pictures := make([]Picture, 0, len(images))
	for position, image := range images {
		index := uint32(position)
		if metadata := image.GetMetadata(); metadata != nil {
			// A job may have drawn a part of its batch.
			index = metadata.GetImageIndex()
		}
		var data []byte
		if found := a.parts[index]; found != nil {
			data = found.data
		} else if fetch != nil {
			var err error
			if data, err = fetch(index); err != nil {
				return nil, err
			}
		}
		sum := sha256.Sum256(data)
		if uint64(len(data)) != image.GetSize() || !strings.EqualFold(hex.EncodeToString(sum[:]), image.GetSha256()) {
			return nil, damaged(index, "%d bytes arrived that are not the %d bytes of %s", len(data), image.GetSize(), image.GetSha256())
		}
		pictures = append(pictures, Picture{Index: int(index), Data: data, Info: image})
	}
	return pictures, nil
}
