//! The linted files, and walks over everything in them.

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FileDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor,
};
use protox::Compiler;
use protox::file::FileResolver;

/// The linted files. What they import is known, but not linted.
pub struct Api {
    files: Vec<FileDescriptor>,
}

impl Api {
    /// Compiles the files with their comments.
    ///
    /// # Panics
    ///
    /// One does not compile.
    pub fn compile(resolver: impl FileResolver + 'static, names: &[impl AsRef<str>]) -> Self {
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true).include_source_info(true);
        for name in names {
            compiler.open_file(name.as_ref()).unwrap_or_else(|error| panic!("{error:?}"));
        }
        let pool = DescriptorPool::from_file_descriptor_set(compiler.file_descriptor_set())
            .expect("what protox compiled is consistent");
        let find = |name: &str| pool.get_file_by_name(name).expect("an opened file is in the pool");
        Self { files: names.iter().map(|name| find(name.as_ref())).collect() }
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &FileDescriptor> {
        self.files.iter()
    }

    /// Every message, also within messages; not those that stand for the entries of a map.
    pub fn messages(&self) -> Vec<MessageDescriptor> {
        self.files.iter().flat_map(messages_of).collect()
    }

    /// Every enumeration, also within messages.
    pub fn enums(&self) -> Vec<EnumDescriptor> {
        let within = self.messages().into_iter().flat_map(|message| message.child_enums().collect::<Vec<_>>());
        self.files.iter().flat_map(FileDescriptor::enums).chain(within).collect()
    }

    /// Every service.
    pub fn services(&self) -> Vec<ServiceDescriptor> {
        self.files.iter().flat_map(FileDescriptor::services).collect()
    }

    /// Every call of every service.
    pub fn methods(&self) -> Vec<MethodDescriptor> {
        self.services().into_iter().flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
    }
}

/// Every message of a file, also within messages.
pub fn messages_of(file: &FileDescriptor) -> Vec<MessageDescriptor> {
    let mut found: Vec<MessageDescriptor> = file.messages().collect();
    let mut next = 0;
    while next < found.len() {
        let children: Vec<_> = found[next].child_messages().filter(|child| !child.is_map_entry()).collect();
        found.extend(children);
        next += 1;
    }
    found
}
