//! The files of a release.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::archive::{self, Entry};
use crate::graph::Graph;
use crate::{checksums, licences, sbom};

/// A program to pack.
pub(crate) struct Program {
    /// The package that it is built from.
    pub package: &'static str,
    /// Its name, also that of its archive.
    pub name: &'static str,
    /// The built file.
    pub file: PathBuf,
    /// Features that it was built with, besides the default ones.
    pub features: Vec<String>,
    /// Files of the repository that go into its archive.
    pub also: &'static [&'static str],
}

/// The programs to pack, and their target.
pub(crate) struct Release {
    /// The root of the repository.
    pub root: PathBuf,
    /// The target that the programs were built for.
    pub target: String,
    pub programs: Vec<Program>,
    /// The wheel of the Python package.
    pub wheel: Option<PathBuf>,
    /// How much to compress, from 1 to 9.
    pub level: u32,
}

impl Release {
    /// Writes the archives, the bills of materials, the wheel and the checksums, and returns their paths.
    ///
    /// # Errors
    ///
    /// A file cannot be read or written, or Cargo does not answer.
    pub(crate) fn write(&self, out: &Path) -> anyhow::Result<Vec<PathBuf>> {
        fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        let mut written = Vec::new();
        for program in &self.programs {
            written.extend(self.pack(program, out)?);
        }
        if let Some(wheel) = &self.wheel {
            let Some(name) = wheel.file_name() else { bail!("{} is not a file", wheel.display()) };
            let target = out.join(name);
            fs::copy(wheel, &target).with_context(|| format!("cannot copy {}", wheel.display()))?;
            written.push(target);
        }
        let sums = out.join("SHA256SUMS");
        fs::write(&sums, checksums::of(&written)?).with_context(|| format!("cannot write {}", sums.display()))?;
        written.push(sums);
        Ok(written)
    }

    /// Packs a program, and returns its archive and its bill of materials.
    fn pack(&self, program: &Program, out: &Path) -> anyhow::Result<[PathBuf; 2]> {
        let graph = Graph::read(&self.root, program.package, &program.features, &self.target)?;
        let bill = sbom::render(&graph)?;
        let stem = format!("{}-{}-{}", program.name, graph.root().version, self.target);
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let mut entries = vec![
            Entry::program(program.name, read(&program.file)?),
            Entry::file("LICENSE", read(&self.root.join("LICENSE"))?),
            Entry::file("THIRD-PARTY-LICENSES.txt", licences::render(&graph)?.into_bytes()),
            Entry::file("sbom.cdx.json", bill.clone()),
        ];
        for path in program.also {
            let name = path.rsplit('/').next().unwrap_or(path);
            entries.push(Entry::file(name, read(&self.root.join(path))?));
        }
        let files = [out.join(format!("{stem}.tar.gz")), out.join(format!("{stem}.cdx.json"))];
        let contents = [archive::pack(&stem, &entries, self.level)?, bill];
        for (file, content) in files.iter().zip(contents) {
            fs::write(file, content).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(files)
    }
}
