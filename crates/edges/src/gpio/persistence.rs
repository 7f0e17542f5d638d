//! Does this kernel keep an output driven after the process that held it is gone?
//!
//! Raspberry Pi kernels do: the driver pinctrl-bcm2835 leaves an output's level and direction as they
//! are when the line is freed, unless its parameter `persist_gpio_outputs` is off (kernel command
//! line `pinctrl_bcm2835.persist_gpio_outputs=n`) or the device tree asks for `strict_gpiod`
//! (`dtparam=strict_gpiod` in config.txt); see raspberrypi/linux issue 6117 and pull request 6150.
//! Other chips' drivers differ, and the character device's documentation promises nothing.
//! So a daemon killed while the strike is released may leave the door open until something drives the
//! line again: the unit's `ExecStopPost=` must.

use std::fs;
use std::path::Path;

/// What the kernel does with the level of an output whose holder is gone.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// It keeps the level.
    Keeps,
    /// It lets go of the line.
    LetsGo,
    /// The driver does not say.
    Unknown,
}

/// The modules of drivers that have the parameter: the Raspberry Pi's, and gpio-sim as our lab
/// builds it.
const DRIVERS: [&str; 2] = ["pinctrl_bcm2835", "gpio_sim"];

/// The name of the drivers' parameter.
const PARAMETER: &str = "persist_gpio_outputs";

/// Asks the drivers of this machine.
pub fn of_this_machine() -> Persistence {
    read(Path::new("/sys/module"), Path::new("/sys/firmware/devicetree/base"))
}

/// Reads the drivers' parameters below `modules` and the board's name below `tree`.
fn read(modules: &Path, tree: &Path) -> Persistence {
    let mut found = Persistence::Unknown;
    for driver in DRIVERS {
        let Ok(value) = fs::read_to_string(modules.join(driver).join("parameters").join(PARAMETER)) else {
            continue;
        };
        match value.trim() {
            "Y" | "y" | "1" => return Persistence::Keeps,
            "N" | "n" | "0" => found = Persistence::LetsGo,
            _ => {}
        }
    }
    if found == Persistence::Unknown {
        let model = fs::read(tree.join("model")).unwrap_or_default();
        // Raspberry Pi kernels from before the parameter let go of the line; later ones have it.
        // A Pi 5's lines are on RP1, whose driver has no such parameter and keeps them.
        if String::from_utf8_lossy(&model).starts_with("Raspberry Pi 5") {
            return Persistence::Keeps;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(parameter: Option<(&str, &str)>, model: &str) -> Persistence {
        let root = tempfile::tempdir().unwrap();
        let (modules, tree) = (root.path().join("module"), root.path().join("tree"));
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("model"), format!("{model}\0")).unwrap();
        if let Some((driver, value)) = parameter {
            let folder = modules.join(driver).join("parameters");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(PARAMETER), value).unwrap();
        }
        read(&modules, &tree)
    }

    #[test]
    fn drivers_are_asked() {
        let pi = "Raspberry Pi 4 Model B Rev 1.1";
        assert_eq!(machine(Some(("pinctrl_bcm2835", "Y\n")), pi), Persistence::Keeps);
        assert_eq!(machine(Some(("pinctrl_bcm2835", "N\n")), pi), Persistence::LetsGo);
        assert_eq!(machine(Some(("gpio_sim", "Y\n")), "Lab"), Persistence::Keeps);
        assert_eq!(machine(None, pi), Persistence::Unknown);
        assert_eq!(machine(None, "Some Board"), Persistence::Unknown);
    }
}
