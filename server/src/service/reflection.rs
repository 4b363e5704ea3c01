//! Server reflection for the services, the error details and the well-known types.
//!
//! tonic-reflection is not used: it ends the stream at the first unknown name, although the protocol has an error response for
//! that and clients continue to ask.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt as _;
use prost_reflect::{
    DescriptorError, DescriptorPool, EnumDescriptor, FileDescriptor, MessageDescriptor, ServiceDescriptor,
};
use tonic::{Code, Request, Response, Status, Streaming};

use super::Messages;

/// The descriptors that reflection serves.
pub(crate) struct Descriptors {
    pool: DescriptorPool,
    /// The file of each full name.
    files: HashMap<String, FileDescriptor>,
    services: Vec<String>,
}

impl Descriptors {
    /// The descriptors of these sets. A file that is in several sets is taken from the first.
    ///
    /// # Errors
    ///
    /// A set is damaged, or two of them contradict each other.
    pub(crate) fn new(sets: &[&[u8]]) -> Result<Self, DescriptorError> {
        let mut pool = DescriptorPool::new();
        for set in sets {
            pool.decode_file_descriptor_set(*set)?;
        }
        let mut files = HashMap::new();
        for (message, file) in pool.all_messages().map(|message| (message.clone(), message.parent_file())) {
            files.extend(names_in_message(&message).map(|name| (name, file.clone())));
        }
        for (values, file) in pool.all_enums().map(|values| (values.clone(), values.parent_file())) {
            files.extend(names_in_enum(&values).map(|name| (name, file.clone())));
        }
        for (service, file) in pool.services().map(|service| (service.clone(), service.parent_file())) {
            files.extend(names_in_service(&service).map(|name| (name, file.clone())));
        }
        files
            .extend(pool.all_extensions().map(|extension| (extension.full_name().to_owned(), extension.parent_file())));
        let services = pool.services().map(|service| service.full_name().to_owned()).collect();
        Ok(Self { pool, files, services })
    }

    fn answer(&self, question: &Question) -> Result<Answer, Refusal> {
        let unknown =
            |what: &str, name: &str| Refusal { code: Code::NotFound, message: format!("there is no {what} `{name}`") };
        match question {
            Question::FileByName(name) => {
                let file = self.pool.get_file_by_name(name).ok_or_else(|| unknown("file", name))?;
                Ok(Answer::File(file.encode_to_vec()))
            }
            Question::FileWithSymbol(name) => {
                let file = self.files.get(name.trim_start_matches('.')).ok_or_else(|| unknown("symbol", name))?;
                Ok(Answer::File(file.encode_to_vec()))
            }
            Question::FileWithExtension { extended, number } => {
                let message = self.pool.get_message_by_name(extended).ok_or_else(|| unknown("message", extended))?;
                let extension = u32::try_from(*number).ok().and_then(|number| message.get_extension(number));
                let extension = extension.ok_or_else(|| unknown("extension", &format!("{extended}.{number}")))?;
                Ok(Answer::File(extension.parent_file().encode_to_vec()))
            }
            Question::ExtensionNumbers(extended) => {
                let message = self.pool.get_message_by_name(extended).ok_or_else(|| unknown("message", extended))?;
                let numbers = message.extensions().filter_map(|extension| i32::try_from(extension.number()).ok());
                Ok(Answer::ExtensionNumbers(numbers.collect()))
            }
            Question::Services => Ok(Answer::Services(self.services.clone())),
            Question::Nothing => {
                Err(Refusal { code: Code::InvalidArgument, message: "the request asks for nothing".to_owned() })
            }
        }
    }
}

fn names_in_message(message: &MessageDescriptor) -> impl Iterator<Item = String> {
    let fields = message.fields().map(|field| field.full_name().to_owned()).collect::<Vec<_>>();
    let oneofs = message.oneofs().map(|oneof| oneof.full_name().to_owned()).collect::<Vec<_>>();
    std::iter::once(message.full_name().to_owned()).chain(fields).chain(oneofs)
}

fn names_in_enum(values: &EnumDescriptor) -> impl Iterator<Item = String> {
    let names = values.values().map(|value| value.full_name().to_owned()).collect::<Vec<_>>();
    std::iter::once(values.full_name().to_owned()).chain(names)
}

fn names_in_service(service: &ServiceDescriptor) -> impl Iterator<Item = String> {
    let methods = service.methods().map(|method| method.full_name().to_owned()).collect::<Vec<_>>();
    std::iter::once(service.full_name().to_owned()).chain(methods)
}

/// The question of a message, in either version of the protocol.
enum Question {
    FileByName(String),
    FileWithSymbol(String),
    FileWithExtension { extended: String, number: i32 },
    ExtensionNumbers(String),
    Services,
    Nothing,
}

enum Answer {
    /// An encoded `FileDescriptorProto`.
    File(Vec<u8>),
    ExtensionNumbers(Vec<i32>),
    Services(Vec<String>),
}

/// Why there is no answer. The stream continues.
struct Refusal {
    code: Code,
    message: String,
}

/// The service, for both versions of the protocol.
pub(crate) struct Reflection {
    descriptors: Arc<Descriptors>,
}

impl Reflection {
    /// The service over these descriptors.
    pub(crate) fn new(descriptors: Arc<Descriptors>) -> Self {
        Self { descriptors }
    }
}

/// Implements the service for one version; their messages are the same and their types are not.
macro_rules! serve {
    ($version:ident) => {
        mod $version {
            use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
            use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;
            use tonic_reflection::pb::$version::server_reflection_server::ServerReflection;
            use tonic_reflection::pb::$version::{
                ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
                ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
            };

            use super::*;

            #[tonic::async_trait]
            impl ServerReflection for Reflection {
                type ServerReflectionInfoStream = Messages<ServerReflectionResponse>;

                async fn server_reflection_info(
                    &self,
                    requests: Request<Streaming<ServerReflectionRequest>>,
                ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
                    let descriptors = self.descriptors.clone();
                    let answers = requests.into_inner().map(move |request| Ok(answer(&descriptors, request?)));
                    Ok(Response::new(Box::pin(answers)))
                }
            }

            fn answer(descriptors: &Descriptors, request: ServerReflectionRequest) -> ServerReflectionResponse {
                let question = match request.message_request.clone() {
                    Some(MessageRequest::FileByFilename(name)) => Question::FileByName(name),
                    Some(MessageRequest::FileContainingSymbol(name)) => Question::FileWithSymbol(name),
                    Some(MessageRequest::FileContainingExtension(extension)) => Question::FileWithExtension {
                        extended: extension.containing_type,
                        number: extension.extension_number,
                    },
                    Some(MessageRequest::AllExtensionNumbersOfType(extended)) => Question::ExtensionNumbers(extended),
                    Some(MessageRequest::ListServices(_)) => Question::Services,
                    None => Question::Nothing,
                };
                let base_type_name = match &question {
                    Question::ExtensionNumbers(extended) => extended.clone(),
                    _ => String::new(),
                };
                let response = match descriptors.answer(&question) {
                    Ok(Answer::File(file)) => MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
                        file_descriptor_proto: vec![file],
                    }),
                    Ok(Answer::ExtensionNumbers(extension_number)) => {
                        MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                            base_type_name,
                            extension_number,
                        })
                    }
                    Ok(Answer::Services(names)) => MessageResponse::ListServicesResponse(ListServiceResponse {
                        service: names.into_iter().map(|name| ServiceResponse { name }).collect(),
                    }),
                    Err(refusal) => MessageResponse::ErrorResponse(ErrorResponse {
                        error_code: refusal.code.into(),
                        error_message: refusal.message,
                    }),
                };
                ServerReflectionResponse {
                    valid_host: request.host.clone(),
                    original_request: Some(request),
                    message_response: Some(response),
                }
            }
        }
    };
}

serve!(v1);
serve!(v1alpha);
