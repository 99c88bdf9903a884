//! Folders of texts: `root/class/*.txt` or `root/{train,val,test}/class/*.txt`.

use std::path::Path;

use crate::{Dataset, Result};

use super::ReadOptions;
use super::image_folder::{Kind, read_classes};
use super::walk::{entries, is_picture, is_text};

/// Folders that are looked into for the first texts or pictures.
const LOOKED_INTO: usize = 200;

/// The first folder that holds texts or pictures decides; captions beside pictures do not count.
pub(super) fn recognises(path: &Path) -> bool {
    let mut waiting = vec![path.to_path_buf()];
    let mut own = None;
    for looked in 0..LOOKED_INTO {
        let Some(folder) = waiting.pop() else { break };
        let Ok((mut folders, files)) = entries(&folder) else { continue };
        let kind = if files.iter().any(|f| is_picture(f)) {
            Some(false)
        } else {
            files.iter().any(|f| is_text(f)).then_some(true)
        };
        if looked == 0 {
            // A read-me beside the classes says nothing about them.
            own = kind;
        } else if let Some(texts) = kind {
            return texts;
        }
        folders.reverse();
        waiting.append(&mut folders);
    }
    own == Some(true)
}

pub(super) fn read(root: &Path, _options: &ReadOptions) -> Result<Dataset> {
    read_classes(root, Kind::Texts)
}
